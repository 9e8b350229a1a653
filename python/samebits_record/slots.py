"""Slots for digests in a buffer on one device: written where the tensors lie, read once a step."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from . import digest, native
from .dtypes import DTYPES
from .shards import Part, row_major

if TYPE_CHECKING:  # imported where it is used, as it needs Triton
    from .triton_digest import Table

_NATIVE = native.load()
_warm: set[torch.device] = set()  # devices whose kernels are loaded

CAPACITY = 1 << 15  # slots; a step that needs more is read in parts
_MANY = 1 << 14  # elements that the kernel of a GPU shares among its processors

# Within it no dispatch mode, the recorder's own among them, is called for what the recorder computes.
own_operators = torch._C._DisableTorchDispatch

WriteSlot = Callable[[torch.Tensor, torch.Tensor], None]


def _has_numpy() -> bool:
    """Whether torch can use it: it may have been built for another one."""
    if importlib.util.find_spec("numpy") is None:
        return False
    try:
        torch.empty(0).numpy()
    except RuntimeError:
        return False
    return True


def _has_triton(device: torch.device) -> bool:
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def _writer_for(device: torch.device) -> WriteSlot:
    """A fused kernel where the device is a GPU and Triton is there, NumPy on a CPU, plain torch operators elsewhere."""
    if _has_triton(device):
        from . import triton_digest

        return triton_digest.write_slot
    if device.type == "cpu" and _has_numpy():
        from . import numpy_digest

        return numpy_digest.write_slot
    return digest.write_slot


class Slots:
    """A buffer of `capacity` slots on `device`."""

    def __init__(self, device: torch.device, capacity: int, has_table: bool = False) -> None:
        """`has_table`: of a CUDA graph, whose launches digest several tensors each where Triton is there."""
        self.words = torch.zeros(capacity, digest.SLOT_WORDS, dtype=torch.int64, device=device)
        self.used = 0
        self.capacity = capacity
        self._write = _writer_for(device)
        self._table: Table | None = None
        if has_table and _has_triton(device):
            from .triton_digest import Table

            self._table = Table(self.words)
        self._address = self.words.data_ptr() if device.type == "cpu" and _NATIVE is not None else 0

    def is_full(self, more: int = 1) -> bool:
        return self.used + more > self.capacity

    def write(self, tensor: torch.Tensor, part: Part | None = None) -> int:
        """Digests `tensor`, which lies on this device, into the next slot; returns the slot's row. Of a `part` the
        sums are its share of the whole's."""
        row = self.used
        self.used += 1
        if self._address == 0:
            with torch.no_grad(), own_operators():
                if part is None:
                    self._write(self.words[row], tensor)
                else:
                    digest.write_slot(self.words[row], tensor, part)
            return row
        assert _NATIVE is not None
        kind = DTYPES[tensor.dtype]
        slot = self._address + row * digest.SLOT_WORDS * 8
        if part is None and tensor.is_contiguous():
            _NATIVE[0](tensor.data_ptr(), kind.size, tensor.numel(), kind.exponent, tensor.dim() == 0, slot)
        else:
            axes = tensor.dim()
            row_of = ctypes.c_int64 * axes
            sizes, strides = row_of(*tensor.shape), row_of(*tensor.stride())
            first, indices = (part.first, part.strides) if part is not None else (0, row_major(tuple(tensor.shape)))
            _NATIVE[1](tensor.data_ptr(), kind.size, axes, sizes, strides, first, row_of(*indices), kind.exponent, slot)
        return row

    def write_all(self, tensors: Sequence[torch.Tensor]) -> None:
        """As write() of each, all contiguous. With a table one launch, whose slots must be 0 before; fill_table() is to
        follow."""
        if self._table is None:
            for each in tensors:
                self.write(each)
            return
        with torch.no_grad(), own_operators():
            self._table.write(self.used, tensors)
        self.used += len(tensors)

    def fill_table(self) -> None:
        """When the graph has been captured, and before its first replay."""
        if self._table is not None:
            self._table.fill()

    def warm_up(self) -> None:
        """Has every kernel compiled and loaded, which must not happen while a CUDA graph is captured."""
        if self.words.device.type != "cpu" and self.words.device not in _warm:
            _warm.add(self.words.device)
            for dtype in DTYPES:
                for shape in ((), (2,), (_MANY,)):
                    self._write(self.words[0], torch.zeros(shape, dtype=dtype, device=self.words.device))
            if self._table is not None:
                self._table.warm_up()
            self.words.zero_()

    def append(self, words: torch.Tensor) -> None:
        """Copies slots of the same device, without reading them."""
        row = self.used
        self.used += words.size(0)
        self.words[row : self.used].copy_(words)

    def read(self) -> torch.Tensor:
        """The used slots on the host, int64 [used, 4]. The buffer is empty afterwards."""
        used = self.words[: self.used]
        found = used.to("cpu", copy=True)
        used[:, digest.FIRED].zero_()
        self.used = 0
        return found


def digest_of(tensor: torch.Tensor) -> str:
    """The digest of one tensor, as 32 hexadecimal digits. Waits for its device."""
    slots = Slots(tensor.device, 1)
    slots.write(tensor)
    seals = digest.Seals()
    return seals.seal(slots.read()[:, :2], [seals.row_of(tensor.dtype, tensor.shape)])[0]


def has_native() -> bool:
    """Whether digests on a CPU are computed by the C function."""
    return _NATIVE is not None
