"""Inside CUDA graphs: the launches that write digests are captured with the rest, and taken over after each replay.

Python does not run at a replay. So what was observed while a graph was captured went into slots of the graph's own,
which each replay writes again; after the replay they are copied on its stream to the slots of the step. Digests are
launched on the stream that computes, before the memory of what they digest is written again: those of a compiled
program several in one launch, as its code says how long each buffer lasts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from .captured_slots import CapturedSlots
from .recorder import Recorder


class GraphTaps:
    """The slots of each graph. Apart from CUDA, so that it can be tested without a card."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._slots: dict[int, tuple[object, CapturedSlots]] = {}  # by id; the graph is kept, so no id comes twice

    def before_capture(self, device: torch.device) -> None:
        with self._recorder.busy():
            self._recorder.captured = CapturedSlots(device)

    def begin(self) -> None:
        """As the first of what is captured."""
        if self._recorder.captured is not None:
            with self._recorder.busy():
                self._recorder.captured.begin()

    def end(self, graph: Any) -> None:
        """When the capture has ended."""
        captured, self._recorder.captured = self._recorder.captured, None
        if captured is not None:
            with self._recorder.busy():
                captured.end()
            self._slots[id(graph)] = (graph, captured)
            # A replay writes them as long as there is the graph, which may outlive the recording.
            graph.samebits_slots = captured.slots

    def replayed(self, graph: object) -> None:
        found = self._slots.get(id(graph))
        if found is not None:
            self._recorder.see_replayed(found[1])

    def reset(self, graph: object) -> None:
        self._slots.pop(id(graph), None)


@contextlib.contextmanager
def taps(recorder: Recorder) -> Iterator[None]:
    """Has every torch.cuda.CUDAGraph of the program tell the taps. Does nothing where torch has no CUDA."""
    if not torch.cuda.is_available():
        yield
        return
    found = GraphTaps(recorder)
    kind: Any = torch.cuda.CUDAGraph
    originals = {name: getattr(kind, name) for name in ("capture_begin", "capture_end", "replay", "reset")}

    def capture_begin(graph: Any, *args: Any, **kwargs: Any) -> None:
        found.before_capture(torch.device("cuda", torch.cuda.current_device()))
        originals["capture_begin"](graph, *args, **kwargs)
        found.begin()

    def capture_end(graph: Any) -> None:
        originals["capture_end"](graph)
        found.end(graph)

    def replay(graph: Any) -> None:
        originals["replay"](graph)
        found.replayed(graph)

    def reset(graph: Any) -> None:
        found.reset(graph)
        originals["reset"](graph)

    for function in (capture_begin, capture_end, replay, reset):
        setattr(kind, function.__name__, function)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(kind, name, original)
