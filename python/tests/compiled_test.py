"""Inside what torch.compile made: same results, the modules' own names, a fault found. Needs a C++ compiler."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import shutil
import tempfile
import unittest

import torch
from programs import Fault, make, train
from streams import by_place, first_difference, read

from samebits_record import record


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


if __name__ == "__main__":
    unittest.main()
