"""SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed): stop at once, or once the work in hand is safe."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal asked to stop. Commands print its sentence, if it has one, and exit with 128 + its number, as shells do.

    Args:
        number: of the signal.
        sentence: where things stand, and how to go on.
    """

    def __init__(self, number: int, sentence: str = "") -> None:
        super().__init__(sentence)
        self.number = number


class StopRequest:
    """Whether a signal has asked to stop: `number` is the signal's, or None."""

    number: int | None = None


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """While the context lasts, SIGINT, SIGTERM and SIGHUP raise `Stopped`, so that what is half done is cleaned up."""
    request = StopRequest()

    def stop(number: int, _: FrameType | None) -> None:
        request.number = number
        raise Stopped(number)

    with _handled(stop):
        try:
            yield
        except Exception:
            if request.number is None:
                raise
            raise Stopped(request.number) from None  # some libraries make another error of what stops their import


@contextlib.contextmanager
def deferred(request: StopRequest, notice: str) -> Iterator[None]:
    """While the context lasts, the first SIGINT, SIGTERM or SIGHUP only leaves a request; a second one stops at once.

    Args:
        request: the `StopRequest` to leave it in; it may come at any time, so look at it once more after the context.
        notice: what to say at the first.
    """

    def note(number: int, _: FrameType | None) -> None:
        request.number = number
        for each in STOPPING:
            if signal.getsignal(each) is note:
                signal.signal(each, signal.SIG_DFL)  # so that a second one is heard even while native code runs
        with contextlib.suppress(OSError):  # Ctrl-C has ended a `| tee` too
            os.write(2, f"\n{signal.Signals(number).name}: {notice}\n".encode())

    with _handled(note):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # What the caller's shell has told to be ignored (as in `command &` of a script) stays so.
    heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def run_stoppable(args: Sequence[str]) -> int:
    """Runs a command that stops well by itself, such as a training, which writes a checkpoint; gives its exit code.

    What stops us while it runs (see `stoppable`) is passed on, and waited for; a second signal kills it.

    Raises:
        Stopped: a signal stopped us, or the command.
    """
    request, child = StopRequest(), None
    try:
        with _handled(lambda number, _: setattr(request, "number", number)):  # or what begins would be left alone
            # In a session of its own, so that what a terminal or a scheduler sends to all reaches it once, from here.
            child = subprocess.Popen(args, start_new_session=True)
        if request.number is not None:
            raise Stopped(request.number)
        code = child.wait()
    except Stopped as stopped:
        if child:
            child.send_signal(stopped.number)
            try:
                child.wait()
            except Stopped:
                child.kill()
        raise
    for number in STOPPING:
        if code in (128 + number, -number):
            raise Stopped(number)
    return code


def reinstall() -> None:
    """Takes the stopping signals back from native code that has set handlers of its own."""
    for number in STOPPING:
        signal.signal(number, signal.getsignal(number))
