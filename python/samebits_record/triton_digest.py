"""One fused kernel for digests on a GPU, where Triton is."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .dtypes import DTYPES

_BLOCK = 1024
_ALONE = 8 * _BLOCK  # up to here one program adds all elements, and needs nobody to clear the slot before it


@triton.jit  # type: ignore[untyped-decorator]
def _terms(words, offset, count, exponent, BITS: tl.constexpr, SCALAR: tl.constexpr):  # type: ignore[no-untyped-def]
    """What the elements at `offset` add to the first three words of the slot; 0 behind the last one."""
    inside = offset < count
    e = tl.load(words + offset, mask=inside, other=0).to(tl.int64)
    if BITS < 64:
        e = e & ((1 << BITS) - 1)
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
    a = tl.where(inside, x.to(tl.int64, bitcast=True), 0)
    b = tl.where(inside, y.to(tl.int64, bitcast=True), 0)
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
