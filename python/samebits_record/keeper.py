"""Keeps tensors: digests say that two of them differ, and not by how much."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping

import torch

from .digest import indices_of
from .dtypes import DTYPES
from .errors import InputError, RecordError
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


KEEP_BYTES = 1 << 30  # of all tensors that are kept, unless another number is given


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
    def name(self) -> str:
        """As parse() takes it, and as the tensor of the place is called."""
        return f"{self.step} {self.occurrence} {self.phase} {self.site}"

    @property
    def text(self) -> str:
        return f"step {self.step}, {self.phase}, occurrence {self.occurrence}"


class Keeper:
    """Keeps tensors on the host, and writes them into `file`, each under the name of its place."""

    def __init__(self, asked: str, file: pathlib.Path, budget: int, is_alone: bool) -> None:
        """`asked`: a place as Place.parse has it, or "/EXPRESSION/", which is looked for in sites. `budget`: bytes of
        all tensors. `is_alone`: no other rank may have what is asked for. Throws InputError."""
        if budget < 1:
            raise InputError("--keep-bytes", str(budget), "a number of bytes, from 1 on")
        self._asked = asked
        self._place: Place | None = None
        self._pattern: re.Pattern[str] | None = None
        if len(asked) > 2 and asked[0] == asked[-1] == "/":
            try:
                self._pattern = re.compile(asked[1:-1])
            except re.error as error:
                raise InputError("--keep", repr(asked), f"a regular expression between slashes ({error})") from None
        else:
            self._place = Place.parse("--keep", asked)
        self._file = file
        self._budget = budget
        self._is_alone = is_alone
        self._kept: dict[str, torch.Tensor] = {}  # by place
        self._bytes = 0
        self._step = 0
        self._seen: dict[tuple[str, str], int] = {}  # of this step: how often by phase and site
        self._matches: dict[str, bool] = {}  # by site

    def see(self, step: int, phase: str, site: str, tensor: torch.Tensor, part: Part | None) -> None:
        """Is told of every observation, in order. Of a part every rank that has another one must come here. Throws
        RecordError where the tensors take more bytes than they may."""
        if not self._wants(phase, site):
            return
        if step != self._step:
            self._step = step
            self._seen.clear()
        occurrence = self._seen.get((phase, site), 0)
        self._seen[phase, site] = occurrence + 1
        place = Place(step, occurrence, phase, site)
        if self._place is not None and place != self._place:
            return
        if self._pattern is not None and not tensor.dim():  # a stream has the values of scalars
            return
        self._bytes += tensor.element_size() * (tensor.numel() if part is None else math.prod(part.shape))
        if self._bytes > self._budget:
            found = f"--keep: {place.name!r} would be kept, and with it {self._bytes} bytes"
            raise RecordError(f"{found}, more than --keep-bytes, {self._budget}")
        with torch.no_grad():
            kept = tensor.detach() if part is None else _whole(tensor.detach(), part)
            self._kept[place.name] = kept.to("cpu", copy=True)

    def see_captured(self, phase: str, site: str) -> None:
        """Of what a CUDA graph captures, whose replays nobody copies. Throws RecordError where it is asked for."""
        if self._wants(phase, site) and (self._place is None or not self._kept):
            raise RecordError(f"--keep: {phase} {site} is computed inside a CUDA graph, where no tensor is kept")

    def write(self) -> None:
        """At the end. Throws RecordError where nothing was kept."""
        if self._kept:
            write_safetensors(self._file, self._kept)
        elif self._is_alone:
            what = "a site that matches" if self._pattern is not None else "the place"
            raise RecordError(f"--keep: no tensor was observed at {what} {self._asked}")

    def _wants(self, phase: str, site: str) -> bool:
        if self._place is not None:
            return site == self._place.site and phase == self._place.phase
        assert self._pattern is not None
        found = self._matches.get(site)
        if found is None:
            found = self._matches[site] = self._pattern.search(site) is not None
        return found


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
    words = torch.zeros(math.prod(part.shape), dtype=torch.int64, device=tensor.device)
    own = tensor.contiguous().view(-1).view(word)
    words[indices_of(tensor, part)] = own.to(torch.int64)
    for group in part.groups:
        torch.distributed.all_reduce(words, group=group)
    return words.to(word).view(tensor.dtype).view(part.shape)
