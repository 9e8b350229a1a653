"""The digest of docs/stream.md in NumPy's operators, for a CPU without the C function.

NumPy has unsigned words, whose shifts are logical, and its calls cost less than torch's: a third of the time of
digest.py, which serves other devices, parts of tensors, and a torch without NumPy.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
import torch

from .digest import CHUNK, INDEX, PRODUCTS, SHIFTS
from .dtypes import DTYPES

_WORD = (1 << 64) - 1
_INDEX_A, _INDEX_B = INDEX
_Words = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]
_numbers = np.arange(1, CHUNK + 1, dtype=np.uint64)
_BY_INDEX_A, _BY_INDEX_B = _numbers * np.uint64(_INDEX_A), _numbers * np.uint64(_INDEX_B)
_words, _x, _scratch = (np.empty(CHUNK, dtype=np.uint64) for _ in range(3))
_UNSIGNED = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}


class _Mixing(NamedTuple):
    turns: list[tuple[np.uint64, np.uint64]]  # a shift and a product each
    last: np.uint64  # shift


def _mixing(row: int) -> _Mixing:
    """Of the sum a, or b, which is row 1."""
    *shifts, last = (np.uint64(each[row]) for each in SHIFTS)
    return _Mixing(list(zip(shifts, (np.uint64(each[row]) for each in PRODUCTS), strict=True)), last)


_MIX_A, _MIX_B = _mixing(0), _mixing(1)


def _sum_of_mixed(x: _Words, mixing: _Mixing, scratch: _Words) -> int:
    """Modulo 2^64; overwrites both."""
    for shift, product in mixing.turns:
        np.bitwise_xor(x, np.right_shift(x, shift, out=scratch), out=x)
        np.multiply(x, product, out=x)
    np.bitwise_xor(x, np.right_shift(x, mixing.last, out=scratch), out=x)
    return int(x.sum())


def write_slot(slot: torch.Tensor, tensor: torch.Tensor) -> None:
    """As digest.write_slot, of tensors on a CPU."""
    kind = DTYPES[tensor.dtype]
    own = tensor.detach().contiguous()
    # Not own.numpy(): torch then lets nobody resize the memory, as FSDP does.
    row = _UNSIGNED[kind.size] * own.numel()
    flat = np.ctypeslib.as_array(row.from_address(own.data_ptr()) if own.numel() else row())
    a = b = extra = 0
    for first in range(0, flat.size, CHUNK):
        piece = flat[first : first + CHUNK]
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
