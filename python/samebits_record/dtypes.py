"""The element types that a stream knows, with what the digest needs of each."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Dtype(NamedTuple):
    name: str
    number: int  # enters the digest
    size: int  # bytes of an element
    exponent: int  # the bits that are all set in a NaN or an infinity; 0 for integers
    word: torch.dtype  # an integer type of the same size, to read raw bits through


DTYPES: dict[torch.dtype, Dtype] = {
    torch.bool: Dtype("bool", 0, 1, 0, torch.uint8),
    torch.uint8: Dtype("uint8", 1, 1, 0, torch.uint8),
    torch.int8: Dtype("int8", 2, 1, 0, torch.uint8),
    torch.int16: Dtype("int16", 3, 2, 0, torch.int16),
    torch.int32: Dtype("int32", 4, 4, 0, torch.int32),
    torch.int64: Dtype("int64", 5, 8, 0, torch.int64),
    torch.float16: Dtype("float16", 6, 2, 0x7C00, torch.int16),
    torch.bfloat16: Dtype("bfloat16", 7, 2, 0x7F80, torch.int16),
    torch.float32: Dtype("float32", 8, 4, 0x7F80_0000, torch.int32),
    torch.float64: Dtype("float64", 9, 8, 0x7FF0_0000_0000_0000, torch.int64),
}
