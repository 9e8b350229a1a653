"""One fused kernel for digests on a GPU, where Triton is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from .dtypes import DTYPES

_BLOCK = 1024
_ALONE = 8 * _BLOCK  # up to here one program adds all elements, and needs nobody to clear the slot before it


@triton.jit
def _mixed(e, offset, inside):  # type: ignore[no-untyped-def]
    """What elements with the bits `e`, zero-extended, add to both sums; 0 of those not `inside`."""
    bits = e.to(tl.uint64)
    index = (offset + 1).to(tl.uint64)
    x = bits + index * 0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    x = x ^ (x >> 31)
    y = bits ^ (index * 0xBB67AE8584CAA73B)
    y = (y ^ (y >> 33)) * 0xFF51AFD7ED558CCD
    y = (y ^ (y >> 33)) * 0xC4CEB9FE1A85EC53
    y = y ^ (y >> 33)
    return tl.where(inside, x.to(tl.int64, bitcast=True), 0), tl.where(inside, y.to(tl.int64, bitcast=True), 0)


@triton.jit  # type: ignore[untyped-decorator]
def _terms(words, offset, count, exponent, BITS: tl.constexpr, SCALAR: tl.constexpr):  # type: ignore[no-untyped-def]
    """What the elements at `offset` add to the first three words of the slot; 0 behind the last one."""
    inside = offset < count
    e = tl.load(words + offset, mask=inside, other=0).to(tl.int64)
    if BITS < 64:
        e = e & ((1 << BITS) - 1)
    a, b = _mixed(e, offset, inside)
    is_full = inside & ((e & exponent) == exponent) & (exponent != 0)
    c = tl.where(inside, e, 0) if SCALAR else is_full.to(tl.int64)
    return a, b, c


# Nothing is specialised, so that no value of a run makes Triton compile while a CUDA graph is being captured.
@triton.jit(do_not_specialize=["count", "exponent"], do_not_specialize_on_alignment=["words", "slot"])  # type: ignore[untyped-decorator]
def _add_sums(  # type: ignore[no-untyped-def]
    words,
    slot,
    count,
    exponent,
    BITS: tl.constexpr,
    SCALAR: tl.constexpr,
    ALONE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    block = tl.program_id(0).to(tl.int64)
    offset = block * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    a, b, c = _terms(words, offset, count, exponent, BITS, SCALAR)
    if ALONE:
        done = BLOCK
        while done < count:
            more_a, more_b, more_c = _terms(words, offset + done, count, exponent, BITS, SCALAR)
            a += more_a
            b += more_b
            c += more_c
            done += BLOCK
        tl.store(slot, tl.sum(a))
        tl.store(slot + 1, tl.sum(b))
        tl.store(slot + 2, tl.sum(c))
    else:
        # Integers: the order in which blocks arrive cannot change a sum.
        tl.atomic_add(slot, tl.sum(a))
        tl.atomic_add(slot + 1, tl.sum(b))
        tl.atomic_add(slot + 2, tl.sum(c))
    if block == 0:
        tl.store(slot + 3, 1)


def write_slot(slot: torch.Tensor, tensor: torch.Tensor) -> None:
    """As digest.write_slot, in one launch, of larger tensors behind a memset."""
    kind = DTYPES[tensor.dtype]
    words = tensor.detach().contiguous().view(-1).view(kind.word)
    is_alone = words.numel() <= _ALONE
    if not is_alone:
        slot.zero_()
    blocks = 1 if is_alone else triton.cdiv(words.numel(), _BLOCK)
    _add_sums[(blocks,)](
        words,
        slot,
        words.numel(),
        kind.exponent,
        BITS=8 * kind.size,
        SCALAR=tensor.dim() == 0,
        ALONE=is_alone,
        BLOCK=_BLOCK,
    )


# Of a table: where a tensor lies, its elements, the bytes of one, its exponent, whether it is a scalar; how many blocks
# of elements a program adds, and the first program of its launch that does.
_COLUMNS: tl.constexpr = tl.constexpr(7)
_ROWS: tl.constexpr = tl.constexpr(64)  # of one launch, at most
_PROGRAMS = 512  # that share one tensor, at most


@triton.jit(do_not_specialize=["first", "rows"], do_not_specialize_on_alignment=["table", "slots"])  # type: ignore[untyped-decorator]
def _add_sums_of_each(table, slots, first, rows, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Of the tensors in `rows` rows of the table from `first` on, each program adds a piece of one to its slot."""
    program = tl.program_id(0).to(tl.int64)
    each = tl.arange(0, _ROWS)
    begins = tl.load(table + (first + each) * _COLUMNS + 6, mask=each < rows, other=1 << 62)
    row = first + tl.sum((begins <= program).to(tl.int32)) - 1
    entry = table + row * _COLUMNS
    address, count, size = tl.load(entry), tl.load(entry + 1), tl.load(entry + 2)
    exponent, is_scalar = tl.load(entry + 3), tl.load(entry + 4)
    blocks, begin = tl.load(entry + 5), tl.load(entry + 6)
    piece = program - begin
    offset = piece * blocks * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    a, b, c = tl.zeros([BLOCK], tl.int64), tl.zeros([BLOCK], tl.int64), tl.zeros([BLOCK], tl.int64)
    end = tl.minimum((piece + 1) * blocks * BLOCK, count)
    done = piece * blocks * BLOCK
    while done < end:
        inside = offset < count
        e = tl.zeros([BLOCK], tl.int64)
        if size == 1:
            e = tl.load(address.to(tl.pointer_type(tl.uint8)) + offset, mask=inside, other=0).to(tl.int64)
        elif size == 2:
            e = tl.load(address.to(tl.pointer_type(tl.uint16)) + offset, mask=inside, other=0).to(tl.int64)
        elif size == 4:
            e = tl.load(address.to(tl.pointer_type(tl.uint32)) + offset, mask=inside, other=0).to(tl.int64)
        else:
            e = tl.load(address.to(tl.pointer_type(tl.int64)) + offset, mask=inside, other=0)
        more_a, more_b = _mixed(e, offset, inside)
        a += more_a
        b += more_b
        is_full = inside & ((e & exponent) == exponent) & (exponent != 0)
        c += tl.where(is_scalar != 0, tl.where(inside, e, 0), is_full.to(tl.int64))
        offset += BLOCK
        done += BLOCK
    slot = slots + row * 4
    # Integers: the order in which pieces arrive cannot change a sum.
    tl.atomic_add(slot, tl.sum(a))
    tl.atomic_add(slot + 1, tl.sum(b))
    tl.atomic_add(slot + 2, tl.sum(c))
    if piece == 0:
        tl.store(slot + 3, 1)


class Table:
    """Has several tensors digested in one launch, within a CUDA graph: where they lie is told by a table on the device,
    which is filled when the graph has been captured. The slots must be 0 before a replay adds to them."""

    MOST = _ROWS.value  # tensors of one launch

    def __init__(self, slots: torch.Tensor) -> None:
        self._slots = slots
        self._table = torch.zeros(slots.size(0), _COLUMNS.value, dtype=torch.int64, device=slots.device)
        self._entries: list[tuple[int, ...]] = []

    def warm_up(self) -> None:
        """Has the kernel compiled and loaded; the empty table has no elements."""
        _add_sums_of_each[(1,)](self._table, self._slots, 0, 1, BLOCK=_BLOCK)

    def write(self, first: int, tensors: Sequence[torch.Tensor]) -> None:
        """Of contiguous tensors, into the slots from row `first` on. Rows ascend; those in between are none of the
        table's."""
        self._entries.extend([(0,) * _COLUMNS.value] * (first - len(self._entries)))
        programs = 0
        for each in tensors:
            kind, count = DTYPES[each.dtype], each.numel()
            blocks = max(1, triton.cdiv(count, _BLOCK * _PROGRAMS))
            form = (kind.size, kind.exponent, int(each.dim() == 0))
            self._entries.append((each.data_ptr(), count, *form, blocks, programs))
            programs += max(1, triton.cdiv(count, _BLOCK * blocks))
        _add_sums_of_each[(programs,)](self._table, self._slots, first, len(tensors), BLOCK=_BLOCK)

    def fill(self) -> None:
        """When the graph has been captured, and before its first replay. Waits for the device."""
        self._table[: len(self._entries)].copy_(torch.tensor(self._entries, dtype=torch.int64).view(-1, _COLUMNS.value))
