"""Keeps the tensor of one place: digests say that two tensors differ, and not by how much."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import torch

from .digest import indices_of
from .dtypes import DTYPES
from .errors import InputError
from .shards import Part

_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}  # of safetensors


@dataclasses.dataclass(frozen=True)
class Place:
    """One observation of a run: the how-many-th of its site in its step, from 0."""

    step: int
    occurrence: int
    phase: str
    site: str

    @classmethod
    def parse(cls, flag: str, text: str) -> Place:
        """From "STEP OCCURRENCE PHASE SITE", such as "0 0 forward layers.0.mlp#0". Throws InputError."""
        words = text.split(" ", 3)
        if len(words) != 4 or not words[0].isdecimal() or not words[1].isdecimal():
            raise InputError(flag, repr(text), 'a place, "STEP OCCURRENCE PHASE SITE"')
        return cls(int(words[0]), int(words[1]), words[2], words[3])

    @property
    def text(self) -> str:
        return f"step {self.step}, {self.phase}, occurrence {self.occurrence}"


class Keeper:
    """Writes the tensor of a place into `file` under the name `kept`."""

    def __init__(self, place: str, file: pathlib.Path) -> None:
        """`place` as Place.parse has it. Throws InputError."""
        self._place = Place.parse("--keep", place)
        self._left = self._place.occurrence
        self._file = file

    def see(self, step: int, phase: str, site: str, tensor: torch.Tensor, part: Part | None) -> None:
        """Of a part every rank that has another one must come here."""
        if step != self._place.step or site != self._place.site or phase != self._place.phase:
            return
        if self._left == 0:
            with torch.no_grad():
                kept = tensor.detach() if part is None else _whole(tensor.detach(), part)
                write_safetensors(self._file, {"kept": kept})
        self._left -= 1


def write_safetensors(file: pathlib.Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Into a new file, in the format of safetensors."""
    entries, data, end = {}, [], 0
    for name, tensor in tensors.items():
        kind = DTYPES[tensor.dtype]
        data.append(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8))
        begin, end = end, end + data[-1].numel()
        entries[name] = {"dtype": _NAMES[kind.name], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with file.open("xb") as opened:
        opened.write(len(header).to_bytes(8, "little") + header)
        for each in data:
            each.numpy().tofile(opened)


def _whole(tensor: torch.Tensor, part: Part) -> torch.Tensor:
    """The tensor that all ranks have parts of: the bits of each part among zeros, added as whole numbers."""
    word = DTYPES[tensor.dtype].word
    count = 1
    for size in part.shape:
        count *= size
    words = torch.zeros(count, dtype=torch.int64, device=tensor.device)
    own = tensor.contiguous().view(-1).view(word)
    words[indices_of(tensor, part)] = own.to(torch.int64)
    for group in part.groups:
        torch.distributed.all_reduce(words, group=group)
    return words.to(word).view(tensor.dtype).view(part.shape)
