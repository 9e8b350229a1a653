"""Plants one ULP into a program that Inductor compiles: a kernel of one layer that rounds one element otherwise.

It knows nothing of the recorder: operator and element are chosen from Inductor's own graph, and the change stands in
the line of the launch, so that whatever looks at the buffer afterwards sees it, in each call and each replay.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from typing import Any

import torch

_ALLOCATION = re.compile(r"^\s*(buf\d+) = (?:empty_strided|reinterpret_tensor\(.*# reuse|buf\d+; del .*# reuse)")
_PART = re.compile(r"^\s*(buf\d+) = buf\d+\[0\]$")  # of an operator with several outputs
_LAYER = re.compile(r"layers(?:\.|\[)(\d+)\]?\.?(.*)")
_IMPORT = "import planted"
_WORDS = {2: torch.int16, 4: torch.int32}

_element = 0


def move(buffer: torch.Tensor) -> None:
    """To the next value away from 0. Fails where there is none to move."""
    words = buffer.as_strided((buffer.numel(),), (1,)).view(_WORDS[buffer.element_size()])
    at = _element % words.numel()
    if not (buffer.is_cuda and torch.cuda.is_current_stream_capturing()):
        assert buffer.as_strided((buffer.numel(),), (1,))[at].isfinite()
        print("moved element", at, flush=True)
    words[at : at + 1].add_(1)


def _layer_of(node: Any) -> str:
    """The module within the decoder's layers, "3.mlp.up_proj"; "" outside of them."""
    stack = node.meta.get("nn_module_stack") or {}
    for path, _ in reversed(stack.values()):
        found = _LAYER.search(path)
        if found:
            return ".".join(filter(None, found.groups()))
    return ""


def _candidates(lines: list[Any], graph: Any) -> list[tuple[int, str, str]]:
    """Of each buffer of a layer that holds what an operator computes: where its line is, its name, the operator's."""
    called: dict[tuple[str, str], int] = {}
    sites = {}
    for node in graph.graph.nodes:
        key = (_layer_of(node), str(node.target).removesuffix(".default"))
        sites[node.name] = f"{key[0]}/{key[1]}[{called.get(key, 0)}]" if key[0] else ""
        called[key] = called.get(key, 0) + 1
    found, waiting = [], set()
    for number, text in enumerate(lines):
        if not isinstance(text, str) or text.lstrip().startswith(("#", "del ", "assert_")):
            continue
        allocated, part = _ALLOCATION.match(text), _PART.match(text)
        if allocated:
            waiting.add(allocated[1])
            continue
        for name in [part[1]] if part else [each for each in re.findall(r"\bbuf\d+\b", text) if each in waiting]:
            waiting.discard(name)
            buffer = graph.name_to_buffer[name]
            node = buffer.get_origin_node()
            if node is not None and part:
                node = node.args[0]
            if node is not None and sites.get(node.name) and buffer.get_dtype().is_floating_point:
                found.append((number, name, sites[node.name]))
    return found


@contextlib.contextmanager
def one_ulp(seed: int | None) -> Iterator[None]:
    """Into the first program that is compiled within this context and has layers. None: nothing is planted."""
    global _element
    from torch._inductor.codegen.wrapper import PythonWrapperCodegen
    from torch._inductor.virtualized import V

    if seed is None:
        yield
        return
    chosen = random.Random(seed)
    _element = chosen.randrange(1 << 30)
    original = PythonWrapperCodegen.generate_return
    is_planted = False

    def generate_return(self: Any, output_refs: list[str]) -> None:
        nonlocal is_planted
        lines = self.wrapper_call._lines
        candidates = [] if is_planted else _candidates(lines, V.graph)
        if candidates:
            number, name, site = chosen.choice(candidates)
            lines[number] += f"; planted.move({name})"
            self.imports.writeline(_IMPORT)
            is_planted = True
            print("planted", f"layers.{site}", "of", len(candidates), flush=True)
        original(self, output_refs)

    PythonWrapperCodegen.generate_return = generate_return  # type: ignore[method-assign]
    try:
        yield
    finally:
        PythonWrapperCodegen.generate_return = original  # type: ignore[method-assign]
    assert is_planted, "no program with layers was compiled"
