"""Waiting for what other processes do."""

import time


def wait_for(condition, seconds=60):
    """What `condition` returns, once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("nothing happened in time")
