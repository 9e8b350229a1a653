"""Where the program is: inside which module, in which phase, and in which line."""

from __future__ import annotations

import bisect
import os
import sys
import threading
import types

import torch

_TORCH = os.path.dirname(torch.__file__) + os.sep
_OWN = os.path.dirname(__file__) + os.sep

_OF_LEAVES = 1 << 63  # autograd numbers its nodes upwards; those that add to leaves have the largest number
_KEPT_ENTRIES = 200_000  # of the autograd journal; a step of a large model has some thousand


class Frame:
    """One call of a module, or what stands for one: the program, an optimizer, a run of backward."""

    __slots__ = ("calls", "is_first_call", "name", "phase")

    def __init__(self, name: str, phase: str) -> None:
        self.name = name
        self.phase = phase
        self.is_first_call = False  # of a root that was found when it ran
        # Of each operator, so far in this frame: by id, as hashing one is a call of Python. Torch keeps operators.
        self.calls: dict[int, int] = {}


class Frames:
    """The stack of frames, and which module each autograd node was made in."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._program = Frame("program", "program")
        self.stack: list[Frame] = [self._program]
        self._backward_runs = 0
        self._backward_frames: dict[str, Frame] = {}
        self._last: tuple[int, Frame] = (-1, self._program)  # the node that ran last, and its frame
        # From which autograd sequence number on which module was running.
        self._numbers: list[int] = []
        self._names: list[str] = []
        self.parameter_modules: dict[int, str] = {}  # by id: where a parameter's gradient belongs

    def is_elsewhere(self) -> bool:
        """True in a thread that is not the recorded one, nor autograd's while that one waits for it."""
        return threading.get_ident() != self._thread and not self._backward_runs

    @property
    def top(self) -> Frame:
        return self.stack[-1]

    def enter_module(self, name: str) -> Frame:
        frame = Frame(name, "recompute" if self._backward_runs else "forward")
        self._push(frame)
        return frame

    def enter_optimizer(self, name: str) -> Frame:
        frame = Frame(name, "optimizer")
        self._push(frame)
        return frame

    def enter_backward(self) -> Frame:
        frame = Frame("program", "backward")
        self._backward_runs += 1
        self._push(frame)
        return frame

    def leave(self, frame: Frame) -> None:
        """Takes `frame` off, and what an exception left above it."""
        if frame not in self.stack:
            return
        while True:
            left = self.stack.pop()
            self._backward_runs -= left.phase == "backward"
            if left is frame:
                break
        self._note_module(self.top.name)

    def end_step(self) -> None:
        self._program.calls.clear()
        self._backward_frames.clear()
        self._last = (-1, self._program)
        if len(self._numbers) > _KEPT_ENTRIES:
            del self._numbers[:-_KEPT_ENTRIES], self._names[:-_KEPT_ENTRIES]

    def of_operator(self) -> Frame:
        """The frame that an operator which runs now belongs to: in backward, one for the module of its node."""
        top = self.stack[-1]
        if top.phase != "backward":
            return top
        node = torch._C._current_autograd_node()
        if node is None:
            return self._backward_frame(top.name)
        number = node._sequence_nr()
        if number >= _OF_LEAVES:
            # Of the node that adds to a parameter's gradient.
            variable = getattr(node, "variable", None)
            return self._backward_frame(self.parameter_modules.get(id(variable), "program"))
        if self._last[0] != number:
            at = bisect.bisect_right(self._numbers, number) - 1
            self._last = (number, self._backward_frame(self._names[at] if at >= 0 else "program"))
        return self._last[1]

    def _backward_frame(self, name: str) -> Frame:
        found = self._backward_frames.get(name)
        if found is None:
            found = self._backward_frames[name] = Frame(name, "backward")
        return found

    def _push(self, frame: Frame) -> None:
        self.stack.append(frame)
        if frame.phase != "backward":
            self._note_module(frame.name)

    def _note_module(self, name: str) -> None:
        number = torch._C._autograd._get_sequence_nr()
        last = self._numbers[-1] if self._numbers else -1
        if number == last:  # no node was made since
            self._names[-1] = name
        elif number > last:  # another thread counts for itself: its numbers would break the order
            self._numbers.append(number)
            self._names.append(name)


def source_line() -> str:
    """The innermost line that is neither torch's nor the recorder's: "models/qwen3.py:231 in forward"."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_TORCH, _OWN, "<")):
            return f"{short_path(file)}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def short_path(file: str) -> str:
    """The path from the package or the working directory on, so that two machines have the same text."""
    _, found, inside = file.rpartition("site-packages" + os.sep)
    if found:
        return inside
    return os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else os.path.basename(file)
