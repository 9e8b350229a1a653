"""Level `op`: every operator of the dispatcher that computes something."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .alone import Alone
from .frames import Frame, Frames, source_line
from .recorder import Recorder

# Memory that nobody has written yet.
_UNINITIALISED = {
    "aten.empty",
    "aten.empty_like",
    "aten.empty_strided",
    "aten.empty_permuted",
    "aten.new_empty",
    "aten.new_empty_strided",
    "aten.resize_",
    "aten.resize_as_",
    "aten.set_",
}
# Views whose schemas do not say so.
_VIEWS = {"aten._unsafe_view", "aten._reshape_alias"}
# Values that come from outside of torch, such as a list's; by their schemas these are views.
_FROM_OUTSIDE = {"aten.lift_fresh", "aten.lift"}
# Outputs that are left unwritten where nothing is dropped or debugged: random seeds, masks.
_UNWRITTEN_OUTPUTS = {
    "aten._scaled_dot_product_flash_attention": {6, 7, 8},
    "aten._scaled_dot_product_cudnn_attention": {6, 7, 8},
    "aten._scaled_dot_product_efficient_attention": {2, 3},
    "aten._flash_attention_forward": {2, 3, 4},
    "aten._efficient_attention_forward": {2, 3},
    "fsdp.all_gather_copy_in": {1},
}
# Collectives have not ended when they return: what they give is seen where it is waited for or taken.
_RETURN_EARLY = re.compile(r"c10d\.|_c10d_functional\.(?!wait_tensor)")


class _Plan:
    """What of an operator is observed."""

    def __init__(self, function: Any) -> None:
        self.function = function  # kept, so that its id is no other's
        self.name = str(function).removesuffix(".default")
        schema = getattr(function, "_schema", None)
        self.outputs = _outputs(self.name, schema)
        self.returns_list = schema is not None and len(schema.returns) == 1 and bool(self.outputs)
        self.written = _written_arguments(schema) if not _RETURN_EARLY.match(self.name) else []
        self.is_silent = self.outputs is not None and not self.outputs and not self.written
        returns_tensor = schema is not None and [str(each.type) for each in schema.returns] == ["Tensor"]
        self.is_single = returns_tensor and bool(self.outputs) and not self.written


def _outputs(name: str, schema: Any) -> frozenset[int] | None:
    """Which outputs hold something that the operator computed. None: all, of a higher-order operator."""
    if schema is None:
        return None
    packet = ".".join(name.split(".")[:2])
    if packet in _UNINITIALISED or packet in _VIEWS or _RETURN_EARLY.match(name):
        return frozenset()
    if packet in _FROM_OUTSIDE:
        return frozenset({0})
    unwritten = _UNWRITTEN_OUTPUTS.get(packet, set())
    aliases = [each.alias_info for each in schema.returns]
    return frozenset(i for i, alias in enumerate(aliases) if (not alias or alias.is_write) and i not in unwritten)


def _written_arguments(schema: Any) -> list[tuple[int, str]]:
    """Position and name of arguments that are written to and not returned."""
    if schema is None:
        return []
    returned = {frozenset(each.alias_info.before_set) for each in schema.returns if each.alias_info}
    return [
        (i, each.name)
        for i, each in enumerate(schema.arguments)
        if each.alias_info and each.alias_info.is_write and frozenset(each.alias_info.before_set) not in returned
    ]


def tensors_in(value: object) -> list[torch.Tensor]:
    """The tensors of nested lists, tuples, dictionaries and dataclasses, in their order."""
    if isinstance(value, torch.Tensor):
        return [value]
    found: list[torch.Tensor] = []
    if isinstance(value, Mapping):
        for each in value.values():
            found.extend(tensors_in(each))
    elif isinstance(value, list | tuple):
        for each in value:
            found.extend(tensors_in(each))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            found.extend(tensors_in(getattr(value, field.name)))
    return found


class OperatorMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Observes outputs and in-place writes. Views, and memory that is not written yet, compute nothing."""

    supports_higher_order_operators = True

    def __init__(self, recorder: Recorder, frames: Frames) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self._local_parts = recorder.local_parts
        self._frames = frames
        self._stack = frames.stack
        self._plans: dict[int, _Plan] = {}  # by the operator's id
        self._sites: dict[tuple[str, _Plan, int, object], str] = {}
        self._single_sites: dict[tuple[str, _Plan, int], str] = {}
        self.see: Callable[[str, str, torch.Tensor], None] = recorder.see
        self.alone: Alone | None = None
        self.compiled_depth = 0  # above 0 in a compiled program, which has taps of its own

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        return True

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if self.alone is not None and not (self._recorder.is_busy or self.compiled_depth):
            return self._note_alone(self.alone, func, args, kwargs or {})
        result = func(*args, **kwargs) if kwargs else func(*args)
        return self._seen(func, args, kwargs, result)

    def _seen(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None, result: Any) -> Any:
        if self._recorder.is_busy or self.compiled_depth:
            return result
        if self._local_parts.known:
            self._local_parts.follow(func, tensors_in([args, kwargs or {}]), tensors_in(result))
        operator = id(func)
        plan = self._plans.get(operator)
        if plan is None:
            plan = self._plans[operator] = _Plan(func)
        if plan.is_silent:
            return result
        frame = self._stack[-1]
        if frame.phase == "backward":
            frame = self._frames.of_operator()
        call = frame.calls.get(operator, 0)
        frame.calls[operator] = call + 1
        if plan.is_single:  # what most operators are
            key = (frame.name, plan, call)
            site = self._single_sites.get(key)
            if site is None:
                site = self._single_sites[key] = self._site(frame.name, plan, call, 0)
            self.see(frame.phase, site, result)
        else:
            self._observe(frame, plan, call, result, args, kwargs or {})
        return result

    def _note_alone(self, alone: Alone, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        frame = self._frames.of_operator()
        if not alone.wants(self._recorder.step, frame):
            return self._seen(func, args, kwargs, func(*args, **kwargs))
        plan = self._plans.get(id(func)) or _Plan(func)
        noted = alone.before(func, args, kwargs, frame, computes=not plan.is_silent)
        result = self._seen(func, args, kwargs, func(*args, **kwargs))
        alone.after(noted, result)
        return result

    def _observe(
        self, frame: Frame, plan: _Plan, call: int, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        see = self.see
        outputs = result if isinstance(result, list | tuple) else (result,)
        is_list = plan.returns_list and isinstance(result, list)
        for i, each in enumerate(outputs):
            if plan.outputs is None or is_list or i in plan.outputs:
                for tensor in tensors_in(each):
                    see(frame.phase, self._site(frame.name, plan, call, i), tensor)
        for position, name in plan.written:
            value = args[position] if position < len(args) else kwargs.get(name)
            for i, tensor in enumerate(tensors_in(value)):
                see(frame.phase, self._site(frame.name, plan, call, f"{name}.{i}"), tensor)

    def _site(self, module: str, plan: _Plan, call: int, output: object) -> str:
        key = (module, plan, call, output)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = f"{module}/{plan.name}[{call}]#{output}"
            self._recorder.note_source(site, source_line())
        return site
