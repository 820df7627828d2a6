"""A process that writes into a lake when told to: the lake's folder and the writer's number."""

import sys

from tasks.lake.store import Lake
from tests.lake.frames import at, batches

if __name__ == "__main__":
    lake, number = Lake(sys.argv[1]), int(sys.argv[2])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for batch in batches(number):
        lake.append("bars", batch, at(0))
