"""One operator of a recorded program, alone: the first on the way to a place that `torch.compile` computes otherwise.

Within one call of a module every operator is noted with what it takes. When the program has ended, those that lead to
the place run again, one by one, eagerly and compiled by themselves, on the inputs that they had. The first whose bits
differ is written as a script of a few lines for stock torch, with its inputs beside it.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from .errors import InputError, RecordError
from .frames import Frame
from .keeper import Place, write_safetensors

_SCRIPT = """# {site}, alone, on the way to
# {place}: python3 upstream.py
import json
import pathlib
import struct
import sys

import torch

raw = (pathlib.Path(__file__).parent / "inputs.safetensors").read_bytes()
end = 8 + struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:end])
TYPES = {{"BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
         "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}}


def tensor(name, stride):
    entry = header[name]
    begin, stop = entry["data_offsets"]
    data = torch.frombuffer(bytearray(raw[end + begin:end + stop]), dtype=TYPES[entry["dtype"]]).view(entry["shape"])
    return torch.empty_strided(data.shape, stride, dtype=data.dtype).copy_(data)


def operator({names}):
    return {call}


inputs = [{inputs}]
eager, compiled = operator(*inputs){output}, torch.compile(operator)(*inputs){output}
apart = (eager != compiled) & ~((eager != eager) & (compiled != compiled))
print(f"torch {{torch.__version__}}: eager and compiled differ in {{apart.sum().item()}} of {{apart.numel()}} elements")
if apart.any():
    print("first:", eager[apart][0].item(), "against", compiled[apart][0].item())
    most = (eager[apart].double() - compiled[apart].double()).abs().max().item()
    print("largest difference:", most)
sys.exit(bool(apart.any()))
"""


@dataclasses.dataclass
class _Step:
    """An operator that ran: its arguments have `_Input`s where there were tensors."""

    function: Any
    site: str
    args: Any
    kwargs: Any
    inputs: list[torch.Tensor]  # as they were before it ran
    outputs: list[torch.Tensor]
    needs: set[int]  # the steps that made them
    computes: bool  # it is no view, nor memory that nobody has written yet


@dataclasses.dataclass(frozen=True)
class _Input:
    number: int


class Alone:
    """Notes the operators of the call of a module that computes the tensor of a place."""

    def __init__(self, place: str, folder: pathlib.Path) -> None:
        """`place` as Keeper has it, of an operator's output. Throws InputError."""
        self._place = Place.parse("--alone", place)
        self._module, slash, operator = self._place.site.rpartition("/")
        self._operator, _, output = operator.rpartition("#")
        if not slash or not output.isdecimal():
            raise InputError("--alone", repr(place), "the place of an operator's output, MODULE/OPERATOR[N]#OUTPUT")
        self._output = int(output)
        self._folder = folder
        self._left = self._place.occurrence
        self._frame: Frame | None = None
        self._steps: list[_Step] = []
        self._made: dict[tuple[Any, ...], int] = {}  # by memory and form: the step that made it
        self._is_found = False

    def wants(self, step: int, frame: Frame) -> bool:
        return (
            not self._is_found
            and step == self._place.step
            and frame.name == self._module
            and frame.phase == self._place.phase
        )

    def before(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], frame: Frame, computes: bool
    ) -> _Step:
        if frame is not self._frame:
            self._frame = frame
            self._steps.clear()
            self._made.clear()
        inputs: list[torch.Tensor] = []
        needs: set[int] = set()

        def note(value: torch.Tensor) -> _Input:
            made_by = self._made.get(_key(value))
            if made_by is not None:
                needs.add(made_by)
            inputs.append(_copy(value))
            return _Input(len(inputs) - 1)

        noted, noted_by_name = _noted(list(args), note), _noted(dict(kwargs), note)
        name = str(function).removesuffix(".default")
        site = f"{name}[{frame.calls.get(id(function), 0)}]"
        return _Step(function, site, noted, noted_by_name, inputs, [], needs, computes)

    def after(self, step: _Step, result: Any) -> None:
        step.outputs = list(result) if isinstance(result, list | tuple) else [result]
        for each in step.outputs:
            if isinstance(each, torch.Tensor):
                self._made[_key(each)] = len(self._steps)
        self._steps.append(step)
        if step.site == self._operator:
            self._is_found = self._left == 0
            self._left -= 1

    def write(self) -> str:
        """After the program: writes upstream.py and inputs.safetensors where an operator alone differs. What was found,
        for a person. Throws RecordError where the place was not seen."""
        if not self._is_found:
            raise RecordError(f"--alone: {self._place.site} was not computed at {self._place.text}")
        wanted = {len(self._steps) - 1}
        for number in range(len(self._steps) - 1, -1, -1):
            if number in wanted:
                wanted |= self._steps[number].needs
        said = []
        for number in sorted(wanted):
            step = self._steps[number]
            if not step.computes or torch.Tag.nondeterministic_seeded in getattr(step.function, "tags", ()):
                continue
            output = self._output if number == len(self._steps) - 1 else 0
            apart, count = _difference(step, output)
            said.append(f"{step.site}: eager and compiled alone differ in {apart} of {count} elements")
            if apart:
                self._write_script(step, output)
                return "\n".join([*said, f"{self._folder / 'upstream.py'}: {step.site} alone, for stock torch"])
        return "\n".join([*said, "no operator alone differs: what the compiler fuses does"])

    def _write_script(self, step: _Step, output: int) -> None:
        names = [f"x{i}" for i in range(len(step.inputs))]
        words = [_text(each) for each in step.args] + [f"{key}={_text(value)}" for key, value in step.kwargs.items()]
        text = _SCRIPT.format(
            site=f"{self._module}/{step.site}",
            place=self._place.site,
            names=", ".join(names),
            call=f"torch.ops.{step.function}({', '.join(words)})",
            inputs=", ".join(
                f'tensor("{name}", {tuple(each.stride())})' for name, each in zip(names, step.inputs, strict=True)
            ),
            output=f"[{output}]" if len(step.outputs) > 1 else "",
        )
        write_safetensors(self._folder / "inputs.safetensors", dict(zip(names, step.inputs, strict=True)))
        (self._folder / "upstream.py").write_text(text, encoding="utf-8")


def _difference(step: _Step, output: int) -> tuple[int, int]:
    """How many elements of the output differ, and how many there are."""

    def operator(*inputs: torch.Tensor) -> Any:
        return step.function(*_given(step.args, inputs), **_given(step.kwargs, inputs))

    def run(function: Callable[..., Any]) -> torch.Tensor:
        result = function(*map(_copy, step.inputs))
        found: torch.Tensor = result[output] if isinstance(result, list | tuple) else result
        return found

    torch._dynamo.reset()
    with torch.no_grad():
        eager, compiled = run(operator), run(torch.compile(operator, dynamic=False))
    both_nan = (eager != eager) & (compiled != compiled)
    return int(((eager != compiled) & ~both_nan).sum()), eager.numel()


def _noted(value: Any, note: Callable[[torch.Tensor], _Input]) -> Any:
    """The same lists and dictionaries, with an `_Input` for each tensor."""
    return _replaced(value, lambda each: note(each) if isinstance(each, torch.Tensor) else each)


def _given(value: Any, inputs: Sequence[torch.Tensor]) -> Any:
    """The way back."""
    return _replaced(value, lambda each: inputs[each.number] if isinstance(each, _Input) else each)


def _replaced(value: Any, one: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_replaced(each, one) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, one) for key, each in value.items()}
    return one(value)


def _copy(value: torch.Tensor) -> torch.Tensor:
    """With the strides of `value`, where no two elements share memory."""
    value = value.detach()
    if any(stride == 0 and size > 1 for stride, size in zip(value.stride(), value.shape, strict=True)):
        return value.contiguous()
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=value.device).copy_(value)


def _key(value: torch.Tensor) -> tuple[Any, ...]:
    return value.data_ptr(), value.dtype, tuple(value.shape), tuple(value.stride())


def _text(value: Any) -> str:
    """An argument as Python reads it."""
    if isinstance(value, _Input):
        return f"x{value.number}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    return repr(value)
