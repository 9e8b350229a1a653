"""Inside what Inductor compiled: the buffers that the compiled program materialises, by the nodes they stand for.

A program of Inductor is a Python function that allocates buffers and launches kernels. Its fusions are decided before
that function is written; only then a tap is put behind the launch that first writes a buffer. So the kernels are those
of the program that is not recorded, and what they keep in registers is not seen.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from .frames import Frames, short_path
from .operators import OperatorMode
from .recorder import Recorder

_ASSIGNMENT = re.compile(r"^\s*(buf\d+) = (.*)$")
_POOLED = re.compile(r"\balloc_from_pool\(")
_ALLOCATION = re.compile(
    r"^(empty_strided|torch\.empty|reinterpret_tensor\(.*# reuse$|buf\d+; del .*# reuse$|rand_strided)"
)
_BUFFER = re.compile(r"\bbuf\d+\b")
_FRAME_LINE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_IMPORT = "from samebits_record import compiled as samebits_taps"


class _Taps:
    def __init__(self, recorder: Recorder, frames: Frames, mode: OperatorMode) -> None:
        self.recorder, self.frames, self.mode = recorder, frames, mode


_active: _Taps | None = None


def enter() -> None:
    """The first line of a compiled program: its own operators are not observed as the dispatcher's."""
    if _active is not None:
        _active.mode.compiled_depth += 1


def leave() -> None:
    flush()
    if _active is not None and _active.mode.compiled_depth:
        _active.mode.compiled_depth -= 1


def tap(module: str | None, operator: str, tensor: object, lasts: bool) -> None:
    """Behind the launch that wrote a buffer. `lasts`: no launch writes to it again before flush() or leave(). Does
    nothing once the recording has ended."""
    if _active is None or not isinstance(tensor, torch.Tensor):
        return
    frame = _active.frames.of_operator()
    _active.recorder.see(frame.phase, f"{module or frame.name}/{operator}", tensor, lasts)


def flush() -> None:
    """Before the memory of a buffer that was tapped becomes another's."""
    if _active is not None:
        _active.recorder.flush()


class _Names:
    """The site of each buffer of one graph: its module, operator, and how-many-th of it there."""

    def __init__(self, graph: Any, module_names: Mapping[int, str], recorder: Recorder) -> None:
        self._graph = graph
        self._recorder = recorder
        self._module_names = module_names
        self._position: dict[str, int] = {}
        self._call: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        count: dict[tuple[str | None, str], int] = {}
        for position, node in enumerate(graph.graph.nodes):
            key = (self._module_of(node), str(node.target))
            self._position[node.name] = position
            self._call[node.name] = count.get(key, 0)
            count[key] = self._call[node.name] + 1

    def of_buffer(self, name: str) -> tuple[str | None, str] | None:
        """Module (None: that of whoever calls the program) and operator; None for what holds no tensor."""
        buffer = self._graph.name_to_buffer.get(name)
        if buffer is None or type(getattr(buffer, "layout", None)).__name__ == "MultiOutputLayout":
            return None
        node = buffer.get_origin_node()
        if node is not None:
            return self._of_node(node, "")
        # A step on the way to a node's value, such as the sum that a mean divides.
        known = [each for each in buffer.origins if each.name in self._position]
        if not known:
            return None
        last = max(known, key=lambda each: self._position[each.name])
        part = self._parts[last.name] = self._parts.get(last.name, -1) + 1
        return self._of_node(last, f":part{part}")

    def is_written_once(self, name: str) -> bool:
        """Whether nothing writes to the buffer after the launch that made it."""
        return name not in self._graph.mutated_buffers

    def position(self, name: str) -> int:
        """Where in the graph a buffer's node stands: the order in which the program states its operators."""
        buffer = self._graph.name_to_buffer.get(name)
        origins = buffer.origins if buffer is not None else ()
        return max((self._position.get(each.name, -1) for each in origins), default=-1)

    def _of_node(self, node: Any, suffix: str) -> tuple[str | None, str]:
        output = 0
        if str(node.target) == "<built-in function getitem>":
            node, output = node.args[0], node.args[1]
        module = self._module_of(node)
        target = str(node.target).removesuffix(".default")
        operator = f"{target}[{self._call.get(node.name, 0)}]{suffix}#{output}"
        lines = _FRAME_LINE.findall(node.meta.get("stack_trace") or "")
        if lines:
            file, line, function = lines[-1]
            self._recorder.note_source(f"{module}/{operator}", f"{short_path(file)}:{line} in {function}")
        return module, operator

    def _module_of(self, node: Any) -> str | None:
        stack = node.meta.get("fwd_nn_module_stack") or node.meta.get("nn_module_stack") or {}
        for key in reversed(stack):
            if str(key).isdigit() and int(key) in self._module_names:
                return self._module_names[int(key)]
        return None


def _with_taps(lines: list[Any], names: _Names) -> list[Any]:
    """The lines of a program's function with a tap behind each launch that first writes a buffer, and a flush before
    each line that writes to the memory of a tapped one, or gives it to another buffer."""
    found: list[Any] = []
    waiting: set[str] = set()  # allocated, not written yet
    pieces: set[str] = set()  # of a buffer that is seen whole
    memory: dict[str, set[str]] = {}  # by buffer: itself, and those whose memory it may have
    lasting: set[str] = set()  # tapped since the last flush, and their digests may wait
    texts = [line if isinstance(line, str) else line() if callable(line) else None for line in lines]
    owns_memory = not any(isinstance(text, str) and _POOLED.search(text) for text in texts)

    def add_taps(buffers: list[str], indent: str) -> None:
        for name in buffers:
            site = names.of_buffer(name)
            if site is not None:
                lasts = owns_memory and names.is_written_once(name)
                found.append(f"{indent}samebits_taps.tap({site[0]!r}, {site[1]!r}, {name}, {lasts})")
                if lasts:
                    lasting.add(name)

    for line, text in zip(lines, texts, strict=True):
        if not isinstance(text, str) or text.lstrip().startswith(("#", "del ", "assert_")):
            found.append(line)
            continue
        indent = text[: len(text) - len(text.lstrip())]
        named = list(dict.fromkeys(_BUFFER.findall(text)))
        assigned = _ASSIGNMENT.match(text)
        name, value = assigned.groups() if assigned is not None else ("", "")
        used = [each for each in named if each != name]
        is_reuse = value.endswith("# reuse")
        written = [each for each in used if is_reuse or each in pieces or not names.is_written_once(each)]
        if any(lasting & memory.get(each, lasting) for each in written):
            found.append(f"{indent}samebits_taps.flush()")
            lasting.clear()
        found.append(line)
        if assigned is not None:
            memory[name] = {name}.union(*(memory.get(each, ()) for each in used))
            if value.endswith("# alias"):
                pieces.add(name)
            elif _ALLOCATION.match(value):
                waiting.add(name)
            elif name not in pieces:
                add_taps([name], indent)
            continue
        first_written = [name for name in named if name in waiting]
        waiting.difference_update(first_written)
        add_taps(sorted(first_written, key=names.position), indent)
    return found


@contextlib.contextmanager
def taps(recorder: Recorder, frames: Frames, mode: OperatorMode, module_names: Mapping[int, str]) -> Iterator[None]:
    """Has Inductor put taps into what it compiles from now on, and compile anew what its caches hold without them."""
    global _active
    import torch._functorch.config as autograd_config
    import torch._inductor.config as inductor_config
    from torch._inductor.codegen.wrapper import PythonWrapperCodegen
    from torch._inductor.virtualized import V

    original: Callable[..., None] = PythonWrapperCodegen.generate_return

    def generate_return(self: Any, output_refs: list[str]) -> None:
        if _active is not None and not V.graph.cpp_wrapper:
            call = self.wrapper_call
            names = _Names(V.graph, module_names, recorder)
            lines = _with_taps(list(call._lines), names)
            self.imports.writeline(_IMPORT)
            call._lines[:] = [f"{call.prefix()}samebits_taps.enter()", *lines]
            call.writeline("samebits_taps.leave()")
        original(self, output_refs)

    _active = _Taps(recorder, frames, mode)
    PythonWrapperCodegen.generate_return = generate_return  # type: ignore[method-assign]
    try:
        with (
            # Memory that is given on at once would have to be digested at once; kernels do not depend on it.
            inductor_config.patch(fx_graph_cache=False, fx_graph_remote_cache=False, allow_buffer_reuse=False),
            autograd_config.patch(enable_autograd_cache=False),
        ):
            yield
    finally:
        PythonWrapperCodegen.generate_return = original  # type: ignore[method-assign]
        _active = None
