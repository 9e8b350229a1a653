"""Inside what torch.compile made: same results, the modules' own names, a fault found. Needs a C++ compiler."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import shutil
import tempfile
import unittest
from collections.abc import Callable
from typing import Any, ClassVar
from unittest import mock

import torch
from programs import Fault, make, train
from streams import by_place, first_difference, read
from torch.fx.passes.split_module import split_module

from samebits_record import record
from samebits_record.graphs import GraphTaps


class InPlace(torch.nn.Module):
    """What Inductor computes in the memory of what it was computed from."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList([torch.nn.Linear(64, 64) for _ in range(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + torch.nn.functional.gelu(layer(x)) * layer(x * 2).sum(1, keepdim=True)
        return x


@unittest.skipIf(shutil.which("g++") is None, "no C++ compiler for Inductor")
class CompiledTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def trained(self, name: str, fault: Fault | None = None) -> list[torch.Tensor]:
        """Compiled and trained; recorded where `name` is not empty."""
        torch._dynamo.reset()
        model, optimizer = make()
        recording = record(self.root / name, model, optimizer, level="op") if name else contextlib.nullcontext()
        with fault or contextlib.nullcontext(), recording:
            return train(torch.compile(model), optimizer)

    def test_a_compiled_program_is_recorded_and_a_fault_in_it_is_named(self) -> None:
        plain, clean = self.trained(""), self.trained("clean")
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(plain, clean, strict=True)))
        sites = {site for _, _, site, _ in by_place(read(self.root / "clean"))}
        self.assertIn("blocks.1.down/aten.addmm[0]#0", sites)
        # What the dispatcher sees inside of the compiled program is not observed a second time.
        self.assertFalse([site for site in sites if re.search(r"(addmm|mm)\.out", site)])
        sources = json.loads((self.root / "clean/sites-0.json").read_text())["sources"]
        self.assertRegex(sources["blocks.1.down/aten.addmm[0]#0"], r"\.py:\d+ in forward$")

        self.trained("again")
        self.assertIsNone(first_difference(self.root / "clean", self.root / "again"))
        places = [
            ("aten.addmm.out", 3, (0, "forward", "blocks.1.down/aten.addmm[0]#0", 0)),
            ("aten.mm.out", 4, None),
            ("aten.addmm.out", 6, (1, "forward", "blocks.0.up/aten.addmm[0]#0", 0)),
        ]
        for number, (operator, call, expected) in enumerate(places):
            with self.subTest(operator=operator, call=call):
                fault = Fault(operator, call)
                self.trained(f"faulty-{number}", fault)
                self.assertTrue(fault.has_struck)
                found = first_difference(self.root / "clean", self.root / f"faulty-{number}")
                assert found is not None
                if expected is None:  # which of backward's products comes when is the compiler's choice
                    self.assertEqual(found[:2], (0, "backward"))
                    self.assertRegex(found[2], r"^(blocks\.\d\.(up|down)|head)/aten\.mm\[\d\]#0$")
                else:
                    self.assertEqual(found, expected)

    def test_blocks_that_compile_themselves_have_the_names_of_the_model(self) -> None:
        """As torchtitan has them: Module.compile() of each block, before the model has been called."""
        torch._dynamo.reset()
        model, optimizer = make()
        with record(self.root / "a", level="op"):
            for block in model.blocks:
                block.compile()
            train(model, optimizer)
        sites = {site for _, _, site, _ in by_place(read(self.root / "a"))}
        self.assertLessEqual({"blocks.1.down/aten.addmm[0]#0", "blocks.1.down.weight", "embed#0"}, sites)
        self.assertFalse([site for site in sites if site.startswith(("down", "Block"))])

    def test_a_program_that_is_split_at_an_operator_and_compiled_in_pieces_has_its_taps(self) -> None:
        """As vLLM does at attention: the operator runs between pieces, each of which Inductor compiled by itself."""
        model, _ = make()
        model.eval()

        def in_pieces(graph: torch.fx.GraphModule, examples: list[torch.Tensor]) -> Callable[..., Any]:
            piece = 0
            pieces: dict[torch.fx.Node, int] = {}
            for node in graph.graph.nodes:
                is_split = node.op == "call_function" and node.target is torch.nn.functional.gelu
                piece += is_split
                pieces[node] = piece
                piece += is_split
            split = split_module(graph, graph, lambda node: pieces[node])
            self.assertGreater(piece, 5)
            return PiecewiseCompiler(split).run

        class PiecewiseCompiler(torch.fx.Interpreter):
            compiled: ClassVar[dict[str, Any]] = {}

            def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
                piece = self.fetch_attr(target)
                is_split = any(node.target is torch.nn.functional.gelu for node in piece.graph.nodes)
                if not is_split and target not in self.compiled:
                    with torch.no_grad():
                        self.compiled[target] = torch._inductor.compile(piece, list(args))
                return piece(*args) if is_split else self.compiled[target](*args)

        ids = torch.randint(0, 50, (2, 6))
        with torch.no_grad():
            with record(self.root / "eager", model, level="op"):
                model(ids)
            torch._dynamo.reset()
            with record(self.root / "pieces", model, level="op"):
                torch.compile(model, backend=in_pieces)(ids)
        eager, pieces = (by_place(read(self.root / name)) for name in ("eager", "pieces"))
        for block in range(3):
            for name in ("up/aten.addmm[0]#0", "down/aten.addmm[0]#0"):
                self.assertIn((0, "forward", f"blocks.{block}.{name}", 0), eager.keys() & pieces.keys())
        self.assertEqual(sum("gelu" in site for _, _, site, _ in pieces), 3)

    def test_a_compiled_function_outside_of_modules_is_the_programs(self) -> None:
        torch._dynamo.reset()

        @torch.compile
        def function(x: torch.Tensor) -> torch.Tensor:
            return (x @ x).sin().sum(0)

        x = torch.eye(8)
        with record(self.root / "a", level="op"):
            result = function(x)
        with record(self.root / "b", level="op"):
            self.assertTrue(torch.equal(function(x), result), "a tap that outlived its recording")
        sites = [each["site"] for each in read(self.root / "a")]
        self.assertIn("program/aten.mm[0]#0", sites)
        self.assertIn("program/aten.sum.dim_IntList[0]#0", sites)

    def test_digests_in_a_graph_wait_for_each_other_and_not_for_their_memory(self) -> None:
        """A graph stands for a CUDA graph, on a CPU: what is observed waits until its memory is written again."""
        model, x = InPlace(), torch.randn(8, 64, generator=torch.Generator().manual_seed(3))

        def recorded(name: str, is_captured: bool) -> tuple[list[str], list[int]]:
            """The digests, and how many were computed at once."""
            torch._dynamo.reset()
            together: list[int] = []
            with record(self.root / name, model, level="op") as recording, torch.no_grad():
                taps = GraphTaps(recording.recorder)
                if is_captured:
                    taps.before_capture(torch.device("cpu"))
                    captured = recording.recorder.captured
                    assert captured is not None
                    write_all = captured.slots.write_all
                    captured.slots.write_all = lambda all: (together.append(len(all)), write_all(all))  # type: ignore
                torch.compile(model)(x)
                if is_captured:
                    graph = mock.Mock()
                    taps.end(graph)
                    taps.replayed(graph)
            found = [each for each in read(self.root / name) if each["phase"] == "forward"]
            return [f"{each['site']} {each['digest']}" for each in found], together

        plain, _ = recorded("plain", False)
        captured, together = recorded("captured", True)
        self.assertEqual(sorted(captured), sorted(plain))
        self.assertGreater(max(together), 2, together)
        with mock.patch("samebits_record.compiled.flush"):
            late, _ = recorded("late", True)
        self.assertNotEqual(sorted(late), sorted(plain), "memory that was written again gave the same digests")


if __name__ == "__main__":
    unittest.main()
