"""Parts of DTensors that a program works on as tensors of its own, after `to_local()`.

Such a tensor is known by its memory. An operator that computes element by element from parts which lie alike gives a
part that lies alike; of what any other makes of them, no whole is known, and it is named as local.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from .shards import Part, is_dtensor

# What goes through these is another rank's too.
_COLLECTIVES = ("c10d", "_c10d_functional", "_c10d_functional_autograd", "fsdp", "_dtensor")

_View = tuple[int, torch.Size, tuple[int, ...]]  # where in its memory a tensor has its elements


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor inside that of a collective which has not been waited for yet."""
    return tensor.elem if hasattr(tensor, "trigger_wait") else tensor  # type: ignore[attr-defined]


def _view(tensor: torch.Tensor) -> _View:
    return int(tensor.storage_offset()), tensor.shape, tensor.stride()


class LocalParts:
    def __init__(self) -> None:
        # By the address of a storage, which no other has while the reference is there.
        self.known: dict[int, tuple[StorageWeakRef, dict[_View, Part]]] = {}

    def note(self, tensor: torch.Tensor, part: Part | None) -> None:
        """`tensor` is local; where `part` is None, nobody knows to which whole it belongs."""
        tensor = _own(tensor)
        if type(tensor) is not torch.Tensor:  # as a compiler has it while it traces
            return
        storage = tensor.untyped_storage()
        _, parts = self.known.setdefault(storage._cdata, (StorageWeakRef(storage), {}))  # type: ignore[no-untyped-call]
        if part is not None:
            parts[_view(tensor)] = part

    def has(self, tensor: torch.Tensor) -> bool:
        return _own(tensor).untyped_storage()._cdata in self.known

    def part_of(self, tensor: torch.Tensor) -> Part | None:
        tensor = _own(tensor)
        known = self.known.get(tensor.untyped_storage()._cdata)
        return known[1].get(_view(tensor)) if known is not None else None

    def follow(self, function: Any, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        """Of an operator that has run."""
        inputs = [each for each in inputs if not is_dtensor(each)]
        if not any(self.has(each) for each in inputs) or function.namespace in _COLLECTIVES:
            return
        part = None
        if torch.Tag.pointwise in function.tags:
            parts = {self.part_of(each) for each in inputs if each.dim() or self.has(each)}
            part = parts.pop() if len(parts) == 1 else None
        shape = next((each.shape for each in inputs if each.dim()), None)
        for each in outputs:
            if not is_dtensor(each):
                self.note(each, part if each.shape == shape else None)

    def forget_freed(self) -> None:
        freed = [key for key, (storage, _) in self.known.items() if storage.expired()]  # type: ignore[no-untyped-call]
        for key in freed:
            del self.known[key]
