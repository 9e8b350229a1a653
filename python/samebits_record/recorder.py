"""What was observed since the last read, and how it becomes lines of a stream."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from . import digest
from .captured_slots import CapturedSlots
from .dtypes import DTYPES
from .errors import InputError, RecordError
from .folder import ArmFolder
from .keeper import Keeper
from .layouts import Layouts
from .lines import Site
from .local_parts import LocalParts
from .shards import Part, is_dtensor, part_of
from .slots import CAPACITY, Slots, own_operators

is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor

_LEFT_OUT = "tensor that the map leaves out"

# Bits of these are observed through a type of the same size that streams know.
_READ_AS: dict[torch.dtype, torch.dtype] = {
    getattr(torch, name): to
    for name, to in {
        "float8_e4m3fn": torch.uint8,
        "float8_e5m2": torch.uint8,
        "float8_e4m3fnuz": torch.uint8,
        "float8_e5m2fnuz": torch.uint8,
        "float8_e8m0fnu": torch.uint8,
        "uint16": torch.int16,
        "uint32": torch.int32,
        "uint64": torch.int64,
    }.items()
    if hasattr(torch, name)
}


def _own_type(dtype: torch.dtype) -> str:
    """The end of a site whose stream does not have the tensor's own type: equal bytes of two types are not the same."""
    return "" if dtype in DTYPES else f".{str(dtype).removeprefix('torch.')}"


def plain_tensor(value: torch.Tensor) -> torch.Tensor | None:
    """The dense tensor whose bits stand for `value`: of a DTensor this rank's part, of complex numbers their parts.

    None where there is no such tensor.
    """
    kind = type(value)
    if kind is not torch.Tensor and kind is not torch.nn.Parameter:
        local = getattr(value, "_local_tensor", None)
        if local is not None:
            return plain_tensor(local)
        if hasattr(value, "trigger_wait"):  # of a collective that has not been waited for yet
            return plain_tensor(value.trigger_wait())
        if not isinstance(value, torch.nn.Parameter | torch.nn.Buffer) or hasattr(kind, "__tensor_flatten__"):
            return None
        value = value.data
        if type(value) is not torch.Tensor:
            return None
    if value.layout is not torch.strided or value.is_meta or value.is_quantized:
        return None
    if is_wrapped(value):
        return None
    if value.dtype in DTYPES:
        return value.detach().resolve_neg() if value.is_neg() else value
    with torch.no_grad():
        if value.is_complex():
            return plain_tensor(torch.view_as_real(value.detach().resolve_conj().resolve_neg()))
        read_as = _READ_AS.get(value.dtype)
        return None if read_as is None else value.detach().contiguous().view(read_as)


class Recorder:
    """Collects observations in program order and writes them, a step at a time."""

    def __init__(self, folder: ArmFolder, part: tuple[int, int] = (0, 1)) -> None:
        """`part` (i, n): of what a forward computes, where the first dimension is a multiple of n, the i-th of n parts.
        So a sequence in a batch is compared with the same sequence alone."""
        self.folder = folder
        self.step = 0
        # True while the recorder itself computes, which is none of the program's, and until a recording begins.
        self.is_busy = False
        self.sources: dict[str, str] = {}
        self.unobserved: dict[str, int] = {}
        self.local_parts = LocalParts()
        self.keeper: Keeper | None = None
        self.layouts: Layouts | None = None
        self.captured: CapturedSlots | None = None  # set while a CUDA graph is being captured
        self._part, self._parts = part
        self._seals = digest.Seals()
        self._sites: dict[tuple[Any, ...], Site] = {}  # by phase, name, dtype, shape and groups
        self._seen: list[tuple[Site, torch.device]] = []  # whose bits wait in slots
        self._slots: dict[torch.device, Slots] = {}
        self._began = time.monotonic()
        self._is_fork = False  # a child of the process that records: what it computes is not observed
        os.register_at_fork(after_in_child=self._note_fork)

    def _note_fork(self) -> None:
        self._is_fork = self.is_busy = True

    def begin(self) -> None:
        """From here on what the program computes is observed."""
        self.is_busy = self._is_fork

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """What is computed within is the recorder's own."""
        was_busy, self.is_busy = self.is_busy, True
        try:
            yield
        finally:
            self.is_busy = was_busy

    def see(self, phase: str, site: str, value: torch.Tensor, lasts: bool = False) -> None:
        """Observes `value` as it is now. Nothing is read back to the host. `lasts`: nobody writes to its memory before
        flush() is called, as long as there is the tensor."""
        if self.is_busy:
            return
        self.is_busy = True
        try:
            if self.layouts is None:
                self._observe(phase, site, value, lasts)
            else:
                self._observe_laid_out(self.layouts, phase, site, value)
        finally:
            self.is_busy = False

    def flush(self) -> None:
        """Memory of tensors that were said to last is written again from here on."""
        if self.captured is not None:
            with self.busy():
                self.captured.flush()

    def note_inputs(self, inputs: Sequence[tuple[str, torch.Tensor]]) -> None:
        """What a module is called with, before any of it is observed: one input may tell how others are laid out."""
        if self.layouts is None or self.is_busy:
            return
        self.is_busy = True
        try:
            for site, value in inputs:
                self._note_sequences(self.layouts, site, value)
        finally:
            self.is_busy = False

    def _note_sequences(self, layouts: Layouts, site: str, value: torch.Tensor) -> None:
        if layouts.tells_sequences(site) and (tensor := plain_tensor(value)) is not None:
            layouts.note_sequences(site, tensor)

    def _observe(self, phase: str, site: str, value: torch.Tensor, lasts: bool = False) -> None:
        # What most values are is asked in few words: this runs some thousand times a step.
        is_plain = type(value) is torch.Tensor and value.dtype in DTYPES and value.layout is torch.strided
        is_plain = is_plain and not value.is_neg() and not is_wrapped(value)
        slots = self._slots.get(value.device) if is_plain else None
        tensor = value if slots is not None else plain_tensor(value)
        part = None
        if not is_plain and tensor is not None and is_dtensor(value):
            tensor, part = self._with_part(value, tensor, phase)
        if tensor is None:
            self._note_unobserved(value)
            return
        if not is_plain:
            site += _own_type(value.dtype)
        # What level `step` has is called the same at every level, and there nobody follows parts.
        if self.local_parts.known and "#" in site and not is_dtensor(value) and self.local_parts.has(tensor):
            part = self.local_parts.part_of(tensor)
            if part is None:
                site += ".local"
        if self._parts > 1 and phase == "forward":
            tensor = self._part_of(tensor)
        dtype, device = tensor.dtype, tensor.device
        shape, groups = (tensor.shape, ()) if part is None else (part.shape, part.groups)
        key = (phase, site, dtype, shape, groups)
        found = self._sites.get(key)
        if found is None:
            found = self._sites[key] = Site(phase, site, self.folder.rank, dtype, shape, self._seals, groups)
        if self.captured is not None and device == self.captured.slots.words.device:
            if self.keeper is not None:
                self.keeper.see_captured(phase, site)
            self.captured.write(found, tensor, part, lasts)
            return
        if self.keeper is not None:
            self.keeper.see(self.step, phase, site, tensor, part)
        if slots is None or slots.used == slots.capacity:
            slots = self.slots(device)
        slots.write(tensor, part)
        self._seen.append((found, device))

    def _observe_laid_out(self, layouts: Layouts, phase: str, site: str, value: torch.Tensor) -> None:
        self._note_sequences(layouts, site, value)
        if not layouts.fits(site):
            self._observe(phase, site, value)
            return
        tensor, part = plain_tensor(value), None
        if tensor is not None and is_dtensor(value):
            tensor, part = self._with_part(value, tensor, phase)
        if part is not None:
            raise InputError(f"map: {site}", "a DTensor in parts", "a layout of tensors that each rank has whole")
        if tensor is None:
            self._note_unobserved(value)
            return
        with torch.no_grad():
            found = layouts.laid_out(site, tensor.detach())
        for name, each in found:
            self._observe(phase, name + _own_type(value.dtype), each)
        if not found:
            self.unobserved[_LEFT_OUT] = self.unobserved.get(_LEFT_OUT, 0) + 1

    def _with_part(
        self, value: torch.Tensor, local: torch.Tensor, phase: str
    ) -> tuple[torch.Tensor | None, Part | None]:
        """What of the DTensor `value` lies on this rank, and where in the whole; None twice where it has no digest."""
        part = part_of(value)
        if part is None:
            return None, None
        if not part.groups:
            return local, None
        if self._parts > 1 and phase == "forward":
            return None, None
        if local.dim() > len(part.shape):  # of complex numbers both parts
            part = Part((*part.shape, 2), 2 * part.first, part.groups)
        return local, part

    def _part_of(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() == 0 or tensor.size(0) == 0 or tensor.size(0) % self._parts:
            return tensor
        return tensor.detach().chunk(self._parts)[self._part]

    def slots(self, device: torch.device, more: int = 1) -> Slots:
        """The slots of a device, with room for `more`."""
        found = self._slots.get(device)
        if found is None:
            found = self._slots[device] = Slots(device, max(CAPACITY, more))
        if found.is_full(more):
            self.read()
        return found

    def see_replayed(self, captured: CapturedSlots) -> None:
        """Takes over what the launches of a CUDA graph have just written, on its stream, without a read."""
        if not captured.seen or self.is_busy:
            return
        self.is_busy = True
        try:
            with own_operators():
                words = captured.slots.words[: len(captured.seen)]
                self.slots(words.device, len(captured.seen)).append(words)
            self._seen.extend(captured.seen)
        finally:
            self.is_busy = False

    def read(self, is_whole: bool = True) -> None:
        """Reads the slots and writes their lines. Throws RecordError where one was never written.

        Ranks that have parts of a tensor must all read: their sums are added here. Unless not `is_whole`: then what
        is known in part is left out.
        """
        was_busy, self.is_busy = self.is_busy, True
        try:
            found: dict[torch.device, Iterator[tuple[str, int]]] = {}
            for device, slots in self._slots.items():
                words = slots.read()
                sites = [site for site, on in self._seen if on == device]
                silent = (words[:, digest.FIRED] != 1).nonzero().flatten().tolist()
                if silent:
                    raise RecordError(f"step {self.step}, {sites[silent[0]].place}: its tap never fired")
                if is_whole:
                    self._add_parts(words, sites, device)
                digests = self._seals.seal(words[:, :2], [site.seal for site in sites])
                found[device] = zip(digests, words[:, 2].tolist(), strict=True)
            step = self.step
            lines = [(site, site.line(step, *next(found[device]))) for site, device in self._seen]
            self.folder.write([line for site, line in lines if is_whole or not site.groups])
        finally:
            self._seen.clear()
            self.is_busy = was_busy

    def _add_parts(self, words: torch.Tensor, sites: list[Site], device: torch.device) -> None:
        """Of DTensors, adds the sums of all ranks' parts. Throws RecordError where ranks have seen different ones."""
        rows_of: dict[tuple[Any, ...], list[int]] = {}
        for row, site in enumerate(sites):
            if site.groups:
                rows_of.setdefault(site.groups, []).append(row)
        for groups, rows in rows_of.items():
            names = zlib.crc32("\n".join(sites[row].place for row in rows).encode())
            for group in groups:
                same = torch.tensor([len(rows), names, -len(rows), -names], device=device)
                torch.distributed.all_reduce(same, torch.distributed.ReduceOp.MAX, group)
                if (same[:2] != -same[2:]).any():
                    place = sites[rows[0]].place
                    raise RecordError(f"step {self.step}, from {place} on: ranks observe other parts of DTensors")
            sums = words[rows, : digest.FIRED].to(device)
            for group in groups:
                torch.distributed.all_reduce(sums, group=group)
            words[rows, : digest.FIRED] = sums.to(words.device)

    def end_step(self, planted: Mapping[str, object] | None = None) -> None:
        """`planted`: the witness of a fault that was planted in the step."""
        if self._is_fork:
            return
        self.read()
        self.local_parts.forget_freed()
        now = time.monotonic()
        self.folder.end_step(self.step, now - self._began, planted)
        self._began = now
        self.step += 1

    def note_source(self, site: str, line: str) -> None:
        """The line of the program behind a site; the first that is told stays."""
        if line.isprintable() and line:
            self.sources.setdefault(site, line)

    def write_kept(self) -> None:
        """The tensors that were kept. Throws RecordError where nothing was of what was to be."""
        if self.keeper is not None and not self._is_fork:
            self.keeper.write()

    def finish(self) -> None:
        """The program has ended well."""
        if self._is_fork:
            return
        for kind, count in sorted(self.unobserved.items()):
            print(f"samebits_record: not observed, {count} times: a {kind}", file=sys.stderr)
        self.folder.write_sites(self.sources, self.unobserved)
        self.is_busy = True
        self.folder.finish()

    def abandon(self) -> None:
        """The program has failed: what it had seen stays, and nothing vouches for it."""
        if not self._is_fork:
            self.is_busy = True
            self.read(is_whole=False)  # the other ranks may not be there any more
            self.folder.abandon()

    def has_seen(self) -> bool:
        return bool(self._seen)

    def _note_unobserved(self, value: torch.Tensor) -> None:
        if value.is_meta or isinstance(value, FakeTensor | FunctionalTensor):  # what has no values loses none
            return
        kind = (
            f"{type(value).__name__} of {str(value.dtype).removeprefix('torch.')}, {value.layout}, {value.device.type}"
        )
        self.unobserved[kind] = self.unobserved.get(kind, 0) + 1
