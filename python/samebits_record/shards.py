"""Where a rank's part of a DTensor lies in the whole.

The sums of a digest are sums over elements, each with its own row-major index. So the sums of the parts, each taken
with the indices that its elements have in the whole, add up to those of the whole: nothing is gathered, and arms of
unequal meshes have the same digest for the same tensor.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch


class Part(NamedTuple):
    """A part of a tensor of `shape`; its element [0, 0, ...] has row-major index `first` in the whole."""

    shape: tuple[int, ...]
    first: int
    groups: tuple[Any, ...]  # process groups over which the sums of all parts are added, one after the other

    @property
    def strides(self) -> tuple[int, ...]:
        """By how much the index grows along each dimension."""
        return row_major(self.shape)


@functools.lru_cache(maxsize=4096)
def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides[: len(shape)])


def is_dtensor(value: torch.Tensor) -> bool:
    return hasattr(value, "_local_tensor") and hasattr(value, "placements")


def part_of(value: Any) -> Part | None:
    """The part that this rank has of the DTensor `value`; one without groups where each rank has the whole.

    None where parts do not make up the whole (partial sums), or not as one block each (strided shards).
    """
    return _part(value.device_mesh, tuple(value.shape), tuple(value.placements), tuple(value._local_tensor.shape))


@functools.lru_cache(maxsize=4096)
def _part(mesh: Any, shape: tuple[int, ...], placements: Sequence[Any], local: tuple[int, ...]) -> Part | None:
    from torch.distributed.tensor import Replicate, Shard

    coordinate = mesh.get_coordinate()
    if coordinate is None:
        return None
    sizes, offsets, groups = list(shape), [0] * len(shape), []
    for dimension, placement in enumerate(placements):
        if type(placement) is Replicate or mesh.size(dimension) == 1:  # all of it lies here
            continue
        if type(placement) is not Shard:
            return None
        # As torch.chunk cuts: all parts of one size but for the last ones, which are smaller or empty.
        axis, size = placement.dim, sizes[placement.dim]
        step = -(-size // mesh.size(dimension))
        begin = min(size, step * coordinate[dimension])
        offsets[axis] += begin
        sizes[axis] = min(size, begin + step) - begin
        groups.append(mesh.get_group(dimension))
    if tuple(sizes) != local:
        return None
    first = sum(offset * stride for offset, stride in zip(offsets, row_major(shape), strict=True))
    return Part(shape, first, tuple(groups))
