"""One observation as a line of JSON: docs/stream.md."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import torch

from .digest import Seals
from .dtypes import DTYPES


class Site:
    """What is known of an observation before its bits are, and the part of its line that this decides."""

    __slots__ = ("dtype", "fixed", "groups", "is_scalar", "place", "seal")

    def __init__(
        self,
        phase: str,
        site: str,
        rank: int,
        dtype: torch.dtype,
        shape: Sequence[int],
        seals: Seals,
        groups: tuple[Any, ...] = (),
    ) -> None:
        """`groups`: the process groups that have a part each of the tensor, whose `shape` is that of the whole."""
        self.dtype = dtype
        self.groups = groups
        self.is_scalar = not shape
        self.seal = seals.row_of(dtype, shape)
        self.place = f"{phase}, {site}"  # for messages
        names = [json.dumps(text, ensure_ascii=False) for text in (phase, site)]
        sizes = ",".join(map(str, shape))
        # From after the step's number to before the digest's digits.
        self.fixed = (
            f',"phase":{names[0]},"rank":{rank},"site":{names[1]},"dtype":"{DTYPES[dtype].name}",'
            f'"shape":[{sizes}],"digest":"'
        )

    def line(self, step: int, digest: str, extra: int) -> str:
        """`extra` is the third word of a slot: a scalar's raw bits, or how many elements are not finite."""
        if self.is_scalar:
            digits = 2 * DTYPES[self.dtype].size
            bits = extra & ((1 << 4 * digits) - 1)
            value = value_text(self.dtype, bits)
            return f'{{"step":{step}{self.fixed}{digest}","bits":"{bits:0{digits}x}","value":{value}}}\n'
        if extra:
            return f'{{"step":{step}{self.fixed}{digest}","nonfinite":{extra}}}\n'
        return f'{{"step":{step}{self.fixed}{digest}"}}\n'


def value_text(dtype: torch.dtype, bits: int) -> str:
    """A scalar as JSON: the shortest digits that read back to the bits, or "nan", "inf", "-inf"."""
    kind = DTYPES[dtype]
    if not kind.exponent:
        is_negative = dtype not in (torch.bool, torch.uint8) and bits >> (8 * kind.size - 1)
        return str(bits - (1 << 8 * kind.size) if is_negative else bits)
    if dtype is torch.float64:
        value = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
        return _finite_text(value, repr(value)) if math.isfinite(value) else _nonfinite_text(value)
    # float32's shortest digits serve the types that float32 holds exactly.
    if dtype is torch.bfloat16:
        value = struct.unpack("<f", (bits << 16).to_bytes(4, "little"))[0]
    else:
        code = "<e" if dtype is torch.float16 else "<f"
        value = struct.unpack(code, bits.to_bytes(kind.size, "little"))[0]
    if not math.isfinite(value):
        return _nonfinite_text(value)
    shortest = next(text for digits in range(9) if _float32(float(text := f"{value:.{digits}e}")) == value)
    return _finite_text(value, shortest)


def _float32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:  # the digits round up to beyond the largest float32
        return math.inf


def _nonfinite_text(value: float) -> str:
    return '"nan"' if math.isnan(value) else '"inf"' if value > 0 else '"-inf"'


def _finite_text(value: float, shortest: str) -> str:
    """The shorter of fixed and scientific notation, as C++'s to_chars has it."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign + "0"
    mantissa, _, power = f"{float(shortest):.{_digits(shortest) - 1}e}".lstrip("-").partition("e")
    digits, exponent = mantissa.replace(".", ""), int(power)
    scientific = f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        fixed = "0." + "0" * (-exponent - 1) + digits
    elif exponent >= len(digits) - 1:
        fixed = f"{abs(value):.0f}"
    else:
        fixed = digits[: exponent + 1] + "." + digits[exponent + 1 :]
    return sign + (fixed if len(fixed) <= len(scientific) else scientific)


def _digits(text: str) -> int:
    """How many significant digits a decimal text has, without zeros at either end."""
    return len(text.lstrip("-").partition("e")[0].replace(".", "").strip("0"))
