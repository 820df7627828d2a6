"""A worker process: `python -m tasks.training.worker`, started by `tasks/training/workers.py`.

1. Orders come in by standard input, epochs and results go out by standard output, as pickles.
2. After each epoch the worker waits for a word of its parent, which has then told of the epoch:
   a run that is killed has gone no further than it said.
3. Standard input ends when the parent does, however that was: the worker then ends at once, and no
   orphan goes on writing checkpoints.
4. SIGTERM and SIGINT are answered by a checkpoint after the step at hand.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import IO, Any

from models.checkpoint import CurveRow
from tasks.training.orders import FitOrder, carry_out


def main() -> None:
    """Carries out orders until standard input ends, or the process is asked to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # What libraries print must not get among the pickles.
    outlet = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, inbox), daemon=True).start()
    while not stop.is_set():
        order = inbox.get()
        _send(outlet, *_answer(order, outlet, inbox, stop))
    # The interpreter's own end would trip over the thread that still reads.
    os._exit(0)


def _answer(
    order: FitOrder, outlet: IO[bytes], inbox: "SimpleQueue[Any]", stop: threading.Event
) -> tuple[str, Any]:
    def on_epoch(row: CurveRow) -> None:
        _send(outlet, "epoch", row)
        inbox.get()

    try:
        return "done", carry_out(order, on_epoch, stop.is_set)
    except Exception as fault:
        return "failed", _portable(fault)


def _portable(fault: Exception) -> Exception:
    """Returns an exception that survives pickling and remembers where it was raised."""
    fault.add_note("In a worker process:\n" + "".join(traceback.format_exception(fault)))
    try:
        pickle.loads(pickle.dumps(fault))  # noqa: S301  (our own)
    except Exception:
        return RuntimeError("\n".join([repr(fault), *fault.__notes__]))
    return fault.with_traceback(None)


def _receive(inlet: IO[bytes], inbox: "SimpleQueue[Any]") -> None:
    while True:
        try:
            inbox.put(pickle.load(inlet))  # noqa: S301  (from our parent)
        except Exception:
            # Not sys.exit: that would let the fit in the main thread go on.
            os._exit(0)


def _send(outlet: IO[bytes], kind: str, value: Any) -> None:
    try:
        pickle.dump((kind, value), outlet)
        outlet.flush()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
