"""Keeps the tensor of one place: digests say that two tensors differ, and not by how much."""

from __future__ import annotations

import json
import pathlib

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


class Keeper:
    """Writes the tensor of a place into `file`, in the format of safetensors, under the name `kept`."""

    def __init__(self, place: str, file: pathlib.Path) -> None:
        """`place` is "STEP OCCURRENCE PHASE SITE", such as "0 0 forward layers.0.mlp#0": which of those of the site in
        the step, from 0. Throws InputError."""
        words = place.split(" ", 3)
        if len(words) != 4 or not words[0].isdecimal() or not words[1].isdecimal():
            raise InputError("--keep", repr(place), 'a place, "STEP OCCURRENCE PHASE SITE"')
        self._step, self._left = int(words[0]), int(words[1])
        self._phase, self._site = words[2], words[3]
        self._file = file

    def see(self, step: int, phase: str, site: str, tensor: torch.Tensor, part: Part | None) -> None:
        """Of a part every rank that has another one must come here."""
        if step != self._step or site != self._site or phase != self._phase:
            return
        if self._left == 0:
            with torch.no_grad():
                self._write(tensor.detach() if part is None else _whole(tensor.detach(), part))
        self._left -= 1

    def _write(self, tensor: torch.Tensor) -> None:
        kind = DTYPES[tensor.dtype]
        data = tensor.cpu().contiguous().view(-1).view(torch.uint8)
        entry = {"dtype": _NAMES[kind.name], "shape": list(tensor.shape), "data_offsets": [0, data.numel()]}
        header = json.dumps({"kept": entry}).encode()
        header += b" " * (-len(header) % 8)
        with self._file.open("xb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            data.numpy().tofile(file)


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
