"""The C function for digests on a CPU, where it was built."""

from __future__ import annotations

import ctypes
import os
import pathlib
from collections.abc import Callable

_Address = ctypes.c_void_p
Contiguous = Callable[[int, int, int, int, int, int], None]
Strided = Callable[[int, int, int, object, object, int, object, int, int], None]


def load() -> tuple[Contiguous, Strided] | None:
    """None where there was no compiler, or where SAMEBITS_RECORD_NATIVE=0 asks to do without."""
    if os.environ.get("SAMEBITS_RECORD_NATIVE") == "0":
        return None
    for file in sorted(pathlib.Path(__file__).parent.glob("_digest*.so")):
        library = ctypes.CDLL(str(file))
        whole, strided = library.samebits_digest, library.samebits_digest_strided
        i64, u64 = ctypes.c_int64, ctypes.c_uint64
        whole.argtypes = [_Address, i64, i64, u64, i64, _Address]
        strided.argtypes = [_Address, i64, i64, _Address, _Address, i64, _Address, u64, _Address]
        whole.restype = strided.restype = None
        return whole, strided
    return None
