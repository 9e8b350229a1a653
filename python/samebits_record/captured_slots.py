"""The slots of a CUDA graph, which the launches that were captured with it write at each replay."""

from __future__ import annotations

import torch

from .errors import RecordError
from .lines import Site
from .shards import Part
from .slots import CAPACITY, Slots

_TOGETHER = 64  # tensors that wait for one launch, at most
_ELEMENTS = 1 << 22  # of all of them, as their memory waits too


class CapturedSlots:
    """A launch costs what a small digest does, so tensors whose memory lasts wait for one launch of several."""

    def __init__(self, device: torch.device, capacity: int = CAPACITY) -> None:
        self.slots = Slots(device, capacity, has_table=True)
        self.slots.warm_up()
        self.seen: list[tuple[Site, torch.device]] = []  # what a replay observes, as the recorder has it
        # In the order of the last observations. They are held, so that nobody gets their memory.
        self._waiting: list[torch.Tensor] = []
        self._elements = 0  # of these

    def begin(self) -> None:
        """As the first launch of the graph: so a replay finds its slots empty, whatever became of the one before."""
        self.slots.words.zero_()

    def write(self, site: Site, tensor: torch.Tensor, part: Part | None, lasts: bool) -> None:
        """`lasts`: nobody writes to the tensor's memory before flush() is called, as long as there is the tensor."""
        if self.slots.is_full(len(self._waiting) + 1):
            raise RecordError(f"a CUDA graph with more than {len(self.seen)} observations")
        self.seen.append((site, self.slots.words.device))
        if part is not None:
            self.flush()
            self.slots.write(tensor, part)
            return
        self._waiting.append(tensor.detach().contiguous())
        self._elements += tensor.numel()
        if not lasts or len(self._waiting) == _TOGETHER or self._elements > _ELEMENTS:
            self.flush()

    def flush(self) -> None:
        """Digests what waits."""
        if self._waiting:
            self.slots.write_all(self._waiting)
            self._waiting.clear()
            self._elements = 0

    def end(self) -> None:
        """When the graph has been captured. Throws RecordError where tensors still wait, which no replay digests."""
        if self._waiting:
            raise RecordError(f"{self.seen[-1][0].place}: observed in a CUDA graph and not digested in it")
        self.slots.fill_table()
