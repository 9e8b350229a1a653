"""The digest of docs/stream.md in torch operators: its sums where the tensor lies, its seal on the host.

A *slot* is four int64 words: the sums a and b; the raw bits of a scalar, or how many elements of a tensor are NaN or
infinite; and 1, which says that the slot was written. int64 stands for the unsigned words of the definition: sums and
products wrap alike, and a shift to the right is masked to be a logical one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch

from .dtypes import DTYPES
from .shards import Part

SLOT_WORDS = 4
FIRED = 3  # the word of a slot that says that it was written

CHUNK = 1 << 14  # elements: what a core's cache holds with its temporaries
_DEVICE_CHUNK = 1 << 20  # on an accelerator, where a launch costs more than memory


def signed(word: int) -> int:
    """The int64 with the bits of `word`, modulo 2^64."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


# Constants of a, then of b. Both sums are computed side by side, as rows 0 and 1 of one tensor.
INDEX = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
SHIFTS = ((30, 33), (27, 33), (31, 33))
PRODUCTS = ((0xBF58476D1CE4E5B9, 0xFF51AFD7ED558CCD), (0x94D049BB133111EB, 0xC4CEB9FE1A85EC53))


class _Constants(NamedTuple):
    """The constants as columns on a device, and (i + 1) times the index's for i below a chunk's size."""

    stride: torch.Tensor  # of the index
    shifts: list[torch.Tensor]
    masks: list[torch.Tensor]  # what a logical shift leaves
    products: list[torch.Tensor]
    by_index: torch.Tensor


_constants: dict[torch.device, _Constants] = {}
_cpu_buffers: list[torch.Tensor] = []


def _constants_on(device: torch.device, count: int) -> _Constants:
    known = _constants.get(device)
    if known is None or known.by_index.size(1) < count:
        column = functools.partial(torch.tensor, dtype=torch.int64, device=device)
        stride = column(list(map(signed, INDEX)))[:, None]
        known = _constants[device] = _Constants(
            stride,
            [column(each)[:, None] for each in SHIFTS],
            [column([(1 << (64 - shift)) - 1 for shift in each])[:, None] for each in SHIFTS],
            [column(list(map(signed, each)))[:, None] for each in PRODUCTS],
            torch.arange(1, count + 1, dtype=torch.int64, device=device) * stride,
        )
    return known


def _mix(x: torch.Tensor, constants: _Constants, scratch: torch.Tensor) -> torch.Tensor:
    """mix_a of row 0 and mix_b of row 1, in place; `scratch` is another of its size."""
    for turn, (shift, mask) in enumerate(zip(constants.shifts, constants.masks, strict=True)):
        torch.bitwise_right_shift(x, shift, out=scratch)
        x.bitwise_xor_(scratch.bitwise_and_(mask))
        if turn < len(constants.products):
            x.mul_(constants.products[turn])
    return x


def _buffers(device: torch.device, count: int) -> tuple[torch.Tensor, ...]:
    """For the words of a chunk, for both sums' and for scratch. On a CPU they are kept; on an accelerator two streams
    must not share them."""
    if device.type != "cpu":
        return tuple(
            torch.empty(shape, dtype=torch.int64, device=device) for shape in ((count,), (2, count), (2, count))
        )
    if not _cpu_buffers:
        _cpu_buffers.extend(torch.empty(rows * CHUNK, dtype=torch.int64) for rows in (1, 2, 2))
    words, x, scratch = _cpu_buffers
    return words[:count], x[: 2 * count].view(2, count), scratch[: 2 * count].view(2, count)


def indices_of(tensor: torch.Tensor, part: Part) -> torch.Tensor:
    """The row-major index in the whole of each element of `tensor`, which is `part` of it: int64, flat."""
    found = torch.full((), part.first, dtype=torch.int64, device=tensor.device)
    for size, stride in zip(tensor.shape, part.strides, strict=True):
        found = found[..., None] + torch.arange(size, dtype=torch.int64, device=tensor.device) * stride
    return found.reshape(-1)


def write_slot(slot: torch.Tensor, tensor: torch.Tensor, part: Part | None = None) -> None:
    """Writes `slot`, on the device of `tensor`, without reading anything back to the host."""
    kind = DTYPES[tensor.dtype]
    flat = tensor.detach().contiguous().view(-1).view(kind.word)
    slot.zero_()
    is_cpu = flat.device.type == "cpu"
    chunk = CHUNK if is_cpu else _DEVICE_CHUNK
    # On an accelerator whole at the first use, as a CUDA graph may be captured at a later one.
    constants = _constants_on(flat.device, min(flat.numel(), chunk) if is_cpu else chunk)
    indices = None if part is None else indices_of(tensor, part)
    for first in range(0, flat.numel(), chunk):
        piece = flat[first : first + chunk]
        words, x, scratch = _buffers(flat.device, piece.numel())
        words.copy_(piece)
        if kind.size in (2, 4):  # zero-extended, where torch's integers are signed
            words.bitwise_and_((1 << 8 * kind.size) - 1)
        if indices is None:
            torch.add(constants.by_index[:, : piece.numel()], constants.stride, alpha=first, out=x)
        else:
            torch.mul(indices[first : first + chunk] + 1, constants.stride, out=x)
        x[0].add_(words)
        x[1].bitwise_xor_(words)
        slot[:2] += _mix(x, constants, scratch).sum(1)
        if tensor.dim() == 0:
            slot[2].copy_(words[0])
        elif kind.exponent:
            slot[2] += (words.bitwise_and_(kind.exponent) == kind.exponent).sum()
    slot[FIRED].fill_(1)


class Seals:
    """Seals sums. What is folded in after the elements (dtype, shape) is kept in a table, a row for each kind."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, ...], int] = {}
        self._table = torch.zeros(0, 0, dtype=torch.int64)
        self._length = torch.zeros(0, dtype=torch.int64)

    def row_of(self, dtype: torch.dtype, shape: Sequence[int]) -> int:
        """The row for tensors of this dtype and shape."""
        return self._rows.setdefault((DTYPES[dtype].number, len(shape), *shape), len(self._rows))

    def seal(self, sums: torch.Tensor, rows: Sequence[int]) -> list[str]:
        """The digests, as 32 hexadecimal digits, of int64 `sums` [n, 2] with the row of each."""
        self._fill_table()
        row = torch.tensor(rows, dtype=torch.int64)
        length = self._length[row]
        constants = _constants_on(sums.device, 1)
        x = sums.t().clone()
        scratch = torch.empty_like(x)
        for column in range(self._table.size(1)):
            is_folded = column < length
            folded = _mix((x ^ self._table[row, column]) + constants.stride, constants, scratch)
            x = torch.where(is_folded, folded, x)
        mask = (1 << 64) - 1
        return [f"{a & mask:016x}{b & mask:016x}" for a, b in zip(*x.tolist(), strict=True)]

    def _fill_table(self) -> None:
        if self._table.size(0) == len(self._rows):
            return
        width = max(len(each) for each in self._rows)
        self._table = torch.tensor([[*each, *([0] * (width - len(each)))] for each in self._rows], dtype=torch.int64)
        self._length = torch.tensor([len(each) for each in self._rows], dtype=torch.int64)
