"""Runs the command and kills its own process: `python -m tests.faults.dying TEXT DELAY ARGUMENTS`.

SIGKILL comes `DELAY` seconds after the process has written a line with `TEXT` to standard error;
with 0 at that very moment, so that a test hits the same moment however busy the machine is.
"""

import os
import signal
import sys
import threading
import time


class Fatal:
    """Standard error up to the line that kills."""

    def __init__(self, stream, text, delay):
        self._stream, self._text, self._delay = stream, text, delay

    def write(self, words):
        self._stream.write(words)
        self._stream.flush()
        if self._text in words:
            if self._delay == 0:
                _die(0)
            threading.Thread(target=_die, args=(self._delay,), daemon=True).start()

    def __getattr__(self, name):
        return getattr(self._stream, name)


def _die(delay):
    time.sleep(delay)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    text, delay, *arguments = sys.argv[1:]
    sys.argv = ["nightcast", *arguments]
    # Ahead of every import that could take hold of the stream.
    sys.stderr = Fatal(sys.stderr, text, float(delay))
    from flows.cli import main

    main()
