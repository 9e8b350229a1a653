"""The recording of one program: everything that is hooked while it runs, and unhooked when it ends."""

from __future__ import annotations

import contextlib
import enum
import functools
import os
import pathlib
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from . import compiled, graphs
from .alone import Alone
from .errors import InputError, RecordError
from .folder import ArmFolder
from .frames import Frame, Frames
from .keeper import KEEP_BYTES, Keeper
from .layouts import Layouts
from .modules import Modules
from .operators import OperatorMode, tensors_in
from .planter import Planter
from .recorder import Recorder
from .shards import part_of

VERSION = "0.1.0"


class Level(enum.Enum):
    """What is observed; each level has all that the one before has."""

    STEP = "step"  # what the program observes, loss, gradient norm, gradients, weights
    MODULE = "module"  # inputs, outputs and gradients of modules
    OP = "op"  # every operator


def level_from(text: str | Level) -> Level:
    try:
        return Level(text)
    except ValueError:
        raise InputError("level", repr(text), "step, module or op") from None


# What readers of a stream refuse in a name, as it acts on a terminal or has no UTF-8.
_UNNAMEABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_active: Recording | None = None


def active() -> Recording:
    if _active is None:
        raise InputError("samebits_record", "no recording is running", "a call inside record(...)")
    return _active


class Recording:
    """Use as a context: enters and leaves the whole recording. One at a time in a process."""

    def __init__(
        self,
        out: str | os.PathLike[str],
        model: torch.nn.Module | None,
        optimizer: torch.optim.Optimizer | None,
        level: str | Level,
        part: tuple[int, int] = (0, 1),
        command: list[str] | None = None,
        begin: str = "start",
        keep: str = "",
        alone: str = "",
        map_file: str | os.PathLike[str] = "",
        plant: str = "",
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        """`begin`: observes from the start on, or from the first call of a module on: "forward". `keep`: a place or an
        expression as Keeper has them, whose tensors are written to kept-R.safetensors, of `keep_bytes` at most; "" is
        none. `alone`: a place, whose operator is looked for as Alone does, at level `op`. `map_file`: a map in whose
        layouts tensors are observed; "" is none. `plant`: a fault as Planter has it, at level `op`."""
        if begin not in ("start", "forward"):
            raise InputError("begin", repr(begin), "start or forward")
        self.level = level_from(level)
        index, parts = part
        if not 0 <= index < parts:
            raise InputError("part", f"{index}/{parts}", "I/N with I from 0 to N - 1")
        if _active is not None:
            raise InputError("record", "another recording is running", "one at a time")
        rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        environment = {"python": platform.python_version(), "torch": torch.__version__}
        about = {
            "recorder": f"samebits_record {VERSION}",
            "level": self.level.value,
            "part": f"{index}/{parts}",
            "command": command if command is not None else sys.argv,
            "environment": environment,
        }
        for flag, text in (("--alone", alone), ("--plant", plant)):
            if text and (self.level is not Level.OP or ranks > 1):
                found = f"{ranks} ranks" if ranks > 1 else f"level {self.level.value}"
                raise InputError(flag, found, "level op, in one process")
        self._planter = Planter(plant) if plant else None
        layouts = Layouts(map_file) if map_file else None
        if map_file:
            environment["map"] = str(map_file)
        self._alone = Alone(alone, pathlib.Path(out)) if alone else None
        kept = pathlib.Path(out) / f"kept-{rank}.safetensors"
        keeper = Keeper(keep, kept, keep_bytes, ranks == 1) if keep else None
        self.recorder = Recorder(ArmFolder(out, about, rank, ranks), part)
        self.recorder.keeper = keeper
        self.recorder.layouts = layouts
        self.recorder.is_busy = begin == "forward"
        self._has_begun = begin == "start"
        self._model, self._optimizer = model, optimizer
        self._frames = Frames()
        self._steps_by_hand = False
        # An optimizer may be a container of others, whose steps run inside of its own.
        self._optimizer_frames: list[Frame] = []
        self._has_seen_gradient: set[int] = set()  # of this step of the outermost, by the parameter's id
        self._has_gradients = False  # of this step
        self._is_step_done = False
        self._mode: OperatorMode | None = None
        self._stepped: list[torch.nn.Module] = []  # whose weights are to be seen when the step ends
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Recording:
        global _active
        _active = self
        # A compiled module is named like the module in it, so that both calls are one.
        warnings.filterwarnings("ignore", message="Using `torch.compile.module.` when there are global hooks")
        with contextlib.ExitStack() as stack:
            stack.callback(_forget_active)
            self.modules = Modules(self.recorder, self._frames, self.level is not Level.STEP, self._begin_work)
            stack.callback(self.modules.remove)
            for handle in (
                register_optimizer_step_pre_hook(self._before_optimizer),
                register_optimizer_step_post_hook(self._after_optimizer),
            ):
                stack.callback(handle.remove)
            stack.enter_context(_replaced(torch.autograd, "backward", self._backward))
            stack.enter_context(_replaced(torch.autograd, "grad", self._grad))
            for module in (torch.nn.utils, torch.nn.utils.clip_grad):
                stack.enter_context(_replaced(module, "clip_grad_norm_", self._clip))
            stack.enter_context(_replaced(torch.nn.utils, "clip_grads_with_norm_", self._clip_with))
            stack.enter_context(_replaced(torch.nn.Module, "compile", self._compile))
            if torch.distributed.is_available():
                stack.enter_context(_replaced(torch.distributed, "destroy_process_group", self._destroy_groups))
                from torch.distributed.tensor import DTensor

                stack.enter_context(_replaced(DTensor, "to_local", self._to_local))
            stack.enter_context(graphs.taps(self.recorder))
            if self._model is not None:
                self.modules.add_root(self._model)
            if self.level is Level.OP:
                self._mode = OperatorMode(self.recorder, self._frames)
                self._mode.alone = self._alone
                if self._planter is not None:
                    self._mode.see = functools.partial(self._planter.see, self.recorder)
                stack.enter_context(compiled.taps(self.recorder, self._frames, self._mode, self.modules.names_by_id))
                stack.enter_context(self._mode)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None or (isinstance(error, SystemExit) and not error.code):
                if self.recorder.has_seen() or self.recorder.step == 0 or self._is_step_done:
                    self.end_step()
                self._finish()
            else:
                self.recorder.abandon()
        finally:
            self._stack.close()
        if self._alone is not None and kind is None:
            print(f"samebits_record: {self._alone.write()}", file=sys.stderr)

    def _finish(self) -> None:
        try:
            if self._planter is not None:
                self._planter.check()
            self.recorder.write_kept()
        except RecordError:
            self.recorder.abandon()
            raise
        self.recorder.finish()

    def observe(self, name: str, value: object, phase: str = "program") -> None:
        for text, what in ((name, "name"), (phase, "phase")):
            if not text:
                raise InputError("observe", f"an empty {what}", f"a {what} of what is observed")
            if _UNNAMEABLE.search(text):
                raise InputError("observe", f"the {what} {text!r}", f"a {what} without control characters")
        tensors = tensors_in(value)
        if not tensors and isinstance(value, bool | int | float):
            kind = {bool: torch.bool, int: torch.int64}.get(type(value), torch.float64)
            if kind is torch.int64 and not -(1 << 63) <= value < 1 << 63:
                raise InputError(f"observe({name!r})", f"an integer of {int(value).bit_length()} bits", "one of int64")
            tensors = [torch.tensor(value, dtype=kind)]
        if not tensors:
            raise InputError(f"observe({name!r})", type(value).__name__, "a tensor, some of them, or a number")
        for i, tensor in enumerate(tensors):
            self.recorder.see(phase, name if len(tensors) == 1 else f"{name}[{i}]", tensor)

    def step_by_hand(self) -> None:
        self._steps_by_hand = True
        self.end_step()

    def end_step(self) -> None:
        if self._has_gradients:
            self.modules.see_weights()
        self._has_gradients = self._is_step_done = False
        self._stepped = []
        self._optimizer_frames.clear()  # whatever an exception left, likewise below
        self._has_seen_gradient.clear()
        self.recorder.end_step(self._planter.take_witness() if self._planter is not None else None)
        self._frames.end_step()
        if self._mode is not None:
            self._mode.compiled_depth = 0

    def _begin_work(self) -> None:
        """Called where a model or a backward begins: what follows an optimizer's step is the next step."""
        if not self._has_begun:
            self._has_begun = True
            self.recorder.begin()
            self.modules.see_weights(with_buffers=True)
        if self._is_step_done and not self._steps_by_hand:
            self.end_step()

    def _before_optimizer(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        # A program's last step ends behind the program, whose model is gone by then.
        self._stepped = self.modules.roots()
        names = {id(parameter): name for name, parameter in self.modules.parameters()}
        kind = type(optimizer).__name__
        number = 0
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and id(parameter) not in self._has_seen_gradient:
                    self._has_seen_gradient.add(id(parameter))
                    name = names.get(id(parameter), f"{kind}.{number}")
                    self.recorder.see("optimizer", f"{name}.grad", parameter.grad)
                number += 1
        self._has_gradients = True
        self._optimizer_frames.append(self._frames.enter_optimizer(kind))

    def _after_optimizer(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self._optimizer_frames:
            self._frames.leave(self._optimizer_frames.pop())
        if not self._optimizer_frames:
            self._has_seen_gradient.clear()
        self._is_step_done = self._is_step_done or self._optimizer is None or optimizer is self._optimizer

    def _backward(self, original: Callable[..., None], tensors: Any, *args: Any, **kwargs: Any) -> None:
        self._begin_work()
        for i, tensor in enumerate(tensors_in(tensors)):
            self.recorder.see("backward", "loss" if i == 0 else f"loss[{i}]", tensor)
        with self._running_backward():
            original(tensors, *args, **kwargs)
        self.modules.see_gradients()

    def _grad(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._running_backward():
            return original(*args, **kwargs)

    @contextlib.contextmanager
    def _running_backward(self) -> Iterator[None]:
        frame = self._frames.enter_backward()
        try:
            yield
        finally:
            self._frames.leave(frame)

    def _clip(self, original: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> torch.Tensor:
        norm = original(*args, **kwargs)
        self.recorder.see("optimizer", "grad_norm", norm)
        return norm

    def _clip_with(
        self,
        original: Callable[..., None],
        parameters: Any,
        max_norm: float,
        total_norm: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Of a program that has found the norm by itself, over more than one mesh."""
        self.recorder.see("optimizer", "grad_norm", total_norm)
        original(parameters, max_norm, total_norm, *args, **kwargs)

    def _destroy_groups(self, original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """What ranks have in parts is added up while they can still talk."""
        if self._is_step_done and not self._steps_by_hand:
            self.end_step()
        elif not self.recorder.is_busy:
            self.recorder.read()
        original(*args, **kwargs)

    def _to_local(self, original: Callable[..., torch.Tensor], value: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        local = original(value, *args, **kwargs)
        if not torch.compiler.is_compiling():
            part = part_of(value)
            if part is None or part.groups:
                self.recorder.local_parts.note(local, part)
        return local

    def _compile(self, original: Callable[..., None], module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        """Module.compile() puts the module's own hooks inside of the compiled program. Where it is no part of a model
        that has been called, it is named before it runs."""
        original(module, *args, **kwargs)
        compiled_call: Any = module._compiled_call_impl

        def call(*args: Any, **kwargs: Any) -> Any:
            if not torch.compiler.is_compiling():
                if self._frames.top.phase == "program":
                    self._begin_work()
                self.modules.add_root_once(module)
            return compiled_call(*args, **kwargs)

        module._compiled_call_impl = call


def _forget_active() -> None:
    global _active
    _active = None


@contextlib.contextmanager
def _replaced(owner: Any, name: str, around: Callable[..., Any]) -> Iterator[None]:
    """Lets `around(original, ...)` stand in for a function of `owner`."""
    original = getattr(owner, name)

    def instead(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, instead)
    try:
        yield
    finally:
        setattr(owner, name, original)
