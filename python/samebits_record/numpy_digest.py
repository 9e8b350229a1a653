"""The digest of docs/stream.md in NumPy's operators, for a CPU without the C function.

NumPy has unsigned words, whose shifts are logical, and its calls cost less than torch's: a third of the time of
digest.py, which serves other devices, parts of tensors, and a torch without NumPy.
"""

from __future__ import annotations

import numpy as np
import torch

from .dtypes import DTYPES

_CHUNK = 1 << 14  # elements: what a core's cache holds with its temporaries

_WORD = (1 << 64) - 1
_INDEX_A, _INDEX_B = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_Mixing = tuple[tuple[np.uint64, np.uint64], tuple[np.uint64, np.uint64], np.uint64]  # shifts and products
_MIX_A: _Mixing = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
    np.uint64(31),
)
_MIX_B: _Mixing = (
    (np.uint64(33), np.uint64(0xFF51AFD7ED558CCD)),
    (np.uint64(33), np.uint64(0xC4CEB9FE1A85EC53)),
    np.uint64(33),
)
_Words = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]
_numbers = np.arange(1, _CHUNK + 1, dtype=np.uint64)
_BY_INDEX_A, _BY_INDEX_B = _numbers * np.uint64(_INDEX_A), _numbers * np.uint64(_INDEX_B)
_words, _x, _scratch = (np.empty(_CHUNK, dtype=np.uint64) for _ in range(3))
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _sum_of_mixed(x: _Words, mixing: _Mixing, scratch: _Words) -> int:
    """Modulo 2^64; overwrites both."""
    *turns, last = mixing
    for shift, product in turns:
        np.bitwise_xor(x, np.right_shift(x, shift, out=scratch), out=x)
        np.multiply(x, product, out=x)
    np.bitwise_xor(x, np.right_shift(x, last, out=scratch), out=x)
    return int(x.sum())


def write_slot(slot: torch.Tensor, tensor: torch.Tensor) -> None:
    """As digest.write_slot, of tensors on a CPU."""
    kind = DTYPES[tensor.dtype]
    flat = tensor.detach().contiguous().view(-1).view(kind.word).numpy().view(_UNSIGNED[kind.size])
    a = b = extra = 0
    for first in range(0, flat.size, _CHUNK):
        piece = flat[first : first + _CHUNK]
        count = piece.size
        words, x, scratch = _words[:count], _x[:count], _scratch[:count]
        words[...] = piece
        np.add(words, _BY_INDEX_A[:count], out=x)
        if first:
            np.add(x, np.uint64(first * _INDEX_A & _WORD), out=x)
        a += _sum_of_mixed(x, _MIX_A, scratch)
        if first:
            np.add(_BY_INDEX_B[:count], np.uint64(first * _INDEX_B & _WORD), out=x)
            np.bitwise_xor(x, words, out=x)
        else:
            np.bitwise_xor(_BY_INDEX_B[:count], words, out=x)
        b += _sum_of_mixed(x, _MIX_B, scratch)
        if kind.exponent and tensor.dim():
            exponent = piece.dtype.type(kind.exponent)
            extra += int(np.count_nonzero((piece & exponent) == exponent))
    if not tensor.dim():
        extra = int(flat[0])
    slot.numpy().view(np.uint64)[:] = (a & _WORD, b & _WORD, extra, 1)
