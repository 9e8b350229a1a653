"""Levels `module` and `op`: inputs, outputs and gradients of modules, and the names of modules and parameters."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from .frames import Frame, Frames
from .operators import tensors_in
from .recorder import Recorder

# What wrappers put between a module and its name.
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


def unwrapped(module: torch.nn.Module) -> torch.nn.Module:
    """The program's own module inside torch.compile's, DDP's and FSDP's."""
    inner = getattr(module, "_orig_mod", None)
    if inner is None and isinstance(module, torch.nn.parallel.DistributedDataParallel):
        inner = module.module
    return unwrapped(inner) if isinstance(inner, torch.nn.Module) else module


def clean_name(path: str) -> str:
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)


def _class_name(module: torch.nn.Module) -> str:
    kind = type(module)
    # FSDP gives a module a class of its own: FSDPModel of FSDPModule and Model.
    if kind.__name__.startswith("FSDP") and len(kind.__bases__) == 2:
        kind = kind.__bases__[1]
    return kind.__name__


def _keywords(frame: Frame, kwargs: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """What was passed by name."""
    return [
        (f"{frame.name}#{key}{i}", tensor)
        for key, value in kwargs.items()
        for i, tensor in enumerate(tensors_in(value))
    ]


class Modules:
    """Hooks on every module that runs. A module that runs outside of any other is a root, and names those below it.

    The first root's modules are named as the root itself names them, those of a later one behind its class.
    """

    def __init__(self, recorder: Recorder, frames: Frames, observes: bool, begin_work: Callable[[], None]) -> None:
        """`observes`: inputs, outputs and gradients, not names alone. `begin_work` is called before each call of a
        root by the program itself."""
        self._recorder = recorder
        self._frames = frames
        self._observes = observes
        self._begin_work = begin_work
        self._names: weakref.WeakKeyDictionary[torch.nn.Module, str] = weakref.WeakKeyDictionary()
        self.names_by_id: dict[int, str] = {}  # of those that have hooks
        self._roots: list[tuple[weakref.ref[torch.nn.Module], str]] = []
        self._handles: list[Any] = []
        self._class_count: dict[str, int] = {}
        self._handles.append(register_module_forward_pre_hook(self._first_call))

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def add_root_once(self, module: torch.nn.Module) -> None:
        if module not in self._names:
            self.add_root(module)

    def add_root(self, module: torch.nn.Module) -> None:
        """Names the modules in `module`, hooks them, and observes its weights and buffers."""
        root = unwrapped(module)
        if root in self._names:
            self._name_wrappers(module, root, self._names[root])
            return
        if self._recorder.layouts is not None:
            self._recorder.layouts.note_model(root)
        kind = _class_name(root)
        label = kind
        if self._roots:
            count = self._class_count[kind] = self._class_count.get(kind, 0) + 1
            label = kind if count == 1 else f"{kind}_{count}"
        prefix = f"{label}." if self._roots else ""
        if not self._roots:
            self._class_count[kind] = 1
        self._roots.append((weakref.ref(root), prefix))
        for path, each in root.named_modules():
            if each not in self._names:
                self._hook(each, label if each is root else prefix + clean_name(path))
        self._name_wrappers(module, root, label)
        for name, parameter in root.named_parameters():
            path = clean_name(prefix + name).rpartition(".")[0]
            self._frames.parameter_modules[id(parameter)] = path or label
        self.see_weights([(root, prefix)], with_buffers=True)

    def roots(self) -> list[torch.nn.Module]:
        """The models that run."""
        return [root for reference, _ in self._roots if (root := reference()) is not None]

    def parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        seen: set[int] = set()
        for reference, prefix in self._roots:
            root = reference()
            for name, parameter in root.named_parameters() if root is not None else ():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield clean_name(prefix + name), parameter

    def see_weights(self, roots: list[tuple[torch.nn.Module, str]] | None = None, with_buffers: bool = False) -> None:
        if roots is None:
            found = [(reference(), prefix) for reference, prefix in self._roots]
            roots = [(root, prefix) for root, prefix in found if root is not None]
        seen: set[int] = set()
        for root, prefix in roots:
            buffers = root.named_buffers() if with_buffers else ()
            for name, tensor in (*root.named_parameters(), *buffers):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    self._recorder.see("weights", clean_name(prefix + name), tensor)

    def see_gradients(self) -> None:
        """As a backward leaves them: summed over ranks, and not clipped yet."""
        for name, parameter in self.parameters():
            if parameter.grad is not None:
                self._recorder.see("backward", f"{name}.grad", parameter.grad)

    def _name_wrappers(self, module: torch.nn.Module, root: torch.nn.Module, label: str) -> None:
        """What is around the root has its name. Of a compiled one the calls are seen, as they hide the root's."""
        while module is not root:
            is_compiled = hasattr(module, "_orig_mod")
            if is_compiled and module not in self._names:
                self._hook(module, label)
            self._names.setdefault(module, label)
            inner = module._orig_mod if is_compiled else module.module
            assert isinstance(inner, torch.nn.Module)
            module = inner

    def _hook(self, module: torch.nn.Module, name: str) -> None:
        self._names[module] = name
        self.names_by_id[id(module)] = name

        # A compiler guards what it sees of a hook at every call of what it compiles: no more than that it returns.
        def enter(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not torch.compiler.is_compiling() and not self._frames.is_elsewhere():
                self._enter(name, args, kwargs)

        def leave(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if not torch.compiler.is_compiling() and not self._frames.is_elsewhere():
                self._leave(name, kwargs, output)

        self._handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self._handles.append(module.register_forward_hook(leave, with_kwargs=True, always_call=True))

    def _first_call(self, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        """Of every module that runs, before its own hooks."""
        # What a compiler traces must not see the recorder: it would be part of the program.
        if torch.compiler.is_compiling() or module in self._names or self._frames.is_elsewhere():
            return
        if self._frames.top.phase == "program":
            self._begin_work()
        self.add_root(module)
        # Hooks that were added just now do not run before this call any more, but after it.
        if id(module) in self.names_by_id:
            self._enter(self._names[module], args, None)

    def _enter(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        if self._frames.top.phase == "program":
            self._begin_work()
        frame = self._frames.enter_module(name)
        frame.is_first_call = kwargs is None
        if self._observes:
            inputs = [(f"{name}#in{i}", tensor) for i, tensor in enumerate(tensors_in(args))]
            self._see_inputs(frame, inputs + _keywords(frame, kwargs or {}))

    def _see_inputs(self, frame: Frame, inputs: list[tuple[str, torch.Tensor]]) -> None:
        self._recorder.note_inputs(inputs)
        for site, tensor in inputs:
            self._recorder.see(frame.phase, site, tensor)

    def _leave(self, name: str, kwargs: dict[str, Any], output: Any) -> None:
        frame = next((each for each in reversed(self._frames.stack) if each.name == name), None)
        if frame is None:
            return
        if self._observes:
            if frame.is_first_call:  # its keywords were not known when it began
                self._see_inputs(frame, _keywords(frame, kwargs))
            for i, tensor in enumerate(tensors_in(output)):
                site = f"{name}#{i}"
                self._recorder.see(frame.phase, site, tensor)
                if tensor.requires_grad and torch.is_grad_enabled():
                    tensor.register_hook(functools.partial(self._see_gradient, f"{site}.grad"))  # type: ignore[no-untyped-call]
        self._frames.leave(frame)

    def _see_gradient(self, site: str, gradient: torch.Tensor | None) -> None:
        if gradient is not None:  # a compiled backward leaves out what nobody needs
            self._recorder.see("backward", site, gradient)
