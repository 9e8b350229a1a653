"""A limit for a call that may never end, such as a loop without progress in torch's Python."""

import contextlib
import signal


class TimeLimit(Exception):
    """What ends a call."""


def is_time_limit(error):
    """By the text, since torch raises what it catches again as an error of its own with the same
    text."""
    return TimeLimit.__name__ in str(error)


@contextlib.contextmanager
def time_limit(seconds):
    """Raises TimeLimit inside the block after so many seconds of this process's own work, so a busy
    machine changes nothing. For the main thread; what runs in C++ is interrupted when it returns.
    """

    def stop(signum, frame):
        raise TimeLimit(f"TimeLimit: still running after {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
