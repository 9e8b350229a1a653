"""The digest of docs/stream.md in torch operators: its sums where the tensor lies, its seal on the host.

A *slot* is four int64 words: the sums a and b; the raw bits of a scalar, or how many elements of a tensor are NaN or
infinite; and 1, which says that the slot was written. int64 stands for the unsigned words of the definition: sums and
products wrap alike, and a shift to the right is masked to be a logical one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .dtypes import DTYPES

SLOT_WORDS = 4
FIRED = 3  # the word of a slot that says that it was written

_CHUNK = 1 << 14  # elements: what a core's cache holds with its temporaries
_DEVICE_CHUNK = 1 << 22  # on an accelerator, where a launch costs more than memory


def signed(word: int) -> int:
    """The int64 with the bits of `word`, modulo 2^64."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


_INDEX_A = signed(0x9E3779B97F4A7C15)
_INDEX_B = signed(0xBB67AE8584CAA73B)
_MIX_A = ((30, signed(0xBF58476D1CE4E5B9)), (27, signed(0x94D049BB133111EB)), (31, 1))
_MIX_B = ((33, signed(0xFF51AFD7ED558CCD)), (33, signed(0xC4CEB9FE1A85EC53)), (33, 1))


def _mix(x: torch.Tensor, rounds: Sequence[tuple[int, int]], scratch: torch.Tensor) -> torch.Tensor:
    """mix_a or mix_b of every word of `x`, in place; `scratch` is another of its size."""
    for shift, factor in rounds:
        torch.bitwise_right_shift(x, shift, out=scratch)
        x.bitwise_xor_(scratch.bitwise_and_((1 << (64 - shift)) - 1))
        if factor != 1:
            x.mul_(factor)
    return x


_factors: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}
_cpu_buffers: list[torch.Tensor] = []


def _index_factors(device: torch.device, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(i + 1) * A and (i + 1) * B for i below `count`."""
    known = _factors.get(device)
    if known is None or known[0].numel() < count:
        index = torch.arange(1, count + 1, dtype=torch.int64, device=device)
        known = _factors[device] = (index * _INDEX_A, index * _INDEX_B)
    return known[0][:count], known[1][:count]


def _buffers(device: torch.device, count: int) -> list[torch.Tensor]:
    """Three for int64 words. On a CPU they are kept; on an accelerator two streams must not share them."""
    if device.type != "cpu":
        return [torch.empty(count, dtype=torch.int64, device=device) for _ in range(3)]
    if not _cpu_buffers:
        _cpu_buffers.extend(torch.empty(_CHUNK, dtype=torch.int64) for _ in range(3))
    return [each[:count] for each in _cpu_buffers]


def write_slot(slot: torch.Tensor, tensor: torch.Tensor) -> None:
    """Writes `slot`, on the device of `tensor`, without reading anything back to the host."""
    kind = DTYPES[tensor.dtype]
    flat = tensor.detach().contiguous().view(-1).view(kind.word)
    is_scalar = tensor.dim() == 0
    slot.zero_()
    chunk = _CHUNK if flat.device.type == "cpu" else _DEVICE_CHUNK
    for first in range(0, flat.numel(), chunk):
        part = flat[first : first + chunk]
        count = part.numel()
        words, x, scratch = _buffers(flat.device, count)
        words.copy_(part)
        if kind.size in (2, 4):  # zero-extended, where torch's integers are signed
            words.bitwise_and_((1 << 8 * kind.size) - 1)
        by_a, by_b = _index_factors(flat.device, count)
        torch.add(words, by_a, out=x)
        if first:
            x.add_(signed(first * _INDEX_A))
        slot[0] += _mix(x, _MIX_A, scratch).sum()
        # The index of the whole tensor enters b by exclusive or, so its offset is added first.
        torch.add(by_b, signed(first * _INDEX_B), out=x)
        slot[1] += _mix(x.bitwise_xor_(words), _MIX_B, scratch).sum()
        if is_scalar:
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
        a, b = sums[:, 0].clone(), sums[:, 1].clone()
        scratch = torch.empty_like(a)
        for column in range(self._table.size(1)):
            value, is_folded = self._table[row, column], column < length
            a = torch.where(is_folded, _mix((a ^ value) + _INDEX_A, _MIX_A, scratch), a)
            b = torch.where(is_folded, _mix((b ^ value) + _INDEX_B, _MIX_B, scratch), b)
        mask = (1 << 64) - 1
        return [f"{x & mask:016x}{y & mask:016x}" for x, y in zip(a.tolist(), b.tolist(), strict=True)]

    def _fill_table(self) -> None:
        if self._table.size(0) == len(self._rows):
            return
        width = max(len(each) for each in self._rows)
        self._table = torch.tensor([[*each, *([0] * (width - len(each)))] for each in self._rows], dtype=torch.int64)
        self._length = torch.tensor([len(each) for each in self._rows], dtype=torch.int64)
