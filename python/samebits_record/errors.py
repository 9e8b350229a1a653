"""What goes wrong for a reason that one line can tell."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or usage: a line that names what it is about, what was found and what was expected."""

    def __init__(self, about: str, found: str, expected: str) -> None:
        super().__init__(f"{about}: found {found}, expected {expected}")


class RecordError(RuntimeError):
    """The recording itself broke, so that it proves nothing."""
