"""Records what a PyTorch program computes, for `samebits compare`.

    with record("out/a", model, optimizer, level="op"):
        for batch in batches:
            loss = train_step(batch)
            observe("loss", loss)

or, without touching the program, `python -m samebits_record --out out/a --level op -- train.py ARGS`.
"""

from __future__ import annotations

import os

import torch

from .errors import InputError, RecordError
from .keeper import KEEP_BYTES
from .recording import VERSION as __version__
from .recording import Level, Recording, active

__all__ = ["InputError", "Level", "RecordError", "Recording", "__version__", "observe", "record", "step"]


def record(
    out: str | os.PathLike[str],
    model: torch.nn.Module | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    level: str | Level = Level.MODULE,
    part: tuple[int, int] = (0, 1),
    map_file: str | os.PathLike[str] = "",
    keep: str = "",
    keep_bytes: int = KEEP_BYTES,
) -> Recording:
    """A context in which everything that torch computes is observed, into the new folder `out`.

    `model` gives its modules their names; without it, the first module that runs does. A step ends after a step of
    `optimizer`, or of any optimizer, when the next forward or backward begins; `step()` ends it by hand.
    `part` (i, n) compares a sequence in a batch of n with the same sequence alone: of what a forward computes, where
    the first dimension is a multiple of n, only the i-th of n parts is observed.
    `map_file` has layouts in which tensors are observed, as those of another program: a fused weight as its parts.
    `keep`: "/EXPRESSION/", whose tensors are kept beside the stream, so that bounds judge their elements; all of them
    take `keep_bytes` at most.
    Throws InputError for a folder that is in use, for an unknown level, for a bad map and a bad expression.
    """
    return Recording(out, model, optimizer, level, part, map_file=map_file, keep=keep, keep_bytes=keep_bytes)


def observe(name: str, value: object, phase: str = "program") -> None:
    """Observes a tensor, several, or a number, under a name of the program's own.

    Throws InputError where no recording runs.
    """
    active().observe(name, value, phase)


def step() -> None:
    """Ends a step. From the first call on, steps end where the program says so and nowhere else."""
    active().step_by_hand()
