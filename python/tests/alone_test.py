"""One operator of a recorded program becomes a script that runs alone."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from samebits_record import InputError, RecordError, Recording

PLACE = "1 0 forward Norm/aten.rsqrt[0]#0"


class Norm(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (x.t().pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt().t()


def compiled(moved: str) -> Callable[..., Any]:
    """In place of torch.compile: gives the bits of eager but for one operator, whose first element is moved."""

    def compile_(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def call(*inputs: torch.Tensor) -> Any:
            result = function(*inputs)
            if result.numel() == {"mean": 6, "none": -1}[moved]:
                first = result.view(-1)[:1]
                first.copy_(first.nextafter(torch.tensor(9.0)))
            return result

        return call

    return compile_


class AloneTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "a"

    def recorded(self, place: str, moved: str) -> str:
        recording = Recording(self.out, None, None, "op", alone=place)
        norm, compile_ = Norm(), mock.patch.object(torch, "compile", compiled(moved))
        with compile_, mock.patch("builtins.print") as printed, recording:
            for _ in range(2):
                norm(torch.randn(5, 6))
                recording.step_by_hand()
        return str(printed.call_args[0][0])

    def test_the_first_operator_that_differs_is_a_script_that_runs_alone(self) -> None:
        said = self.recorded(PLACE, "mean").splitlines()
        self.assertRegex(said[0], r"aten\.pow\.Tensor_Scalar\[0\]: .* differ in 0 of 30 elements")
        self.assertRegex(said[1], r"aten\.mean\.dim\[0\]: .* differ in 1 of 6 elements")
        self.assertEqual(len(said), 3)
        script = (self.out / "upstream.py").read_text()
        self.assertIn("torch.ops.aten.mean.dim(x0, [-1], True)", script)
        self.assertIn('tensor("x0", (1, 6))', script)  # which lay transposed
        command, env = [sys.executable, str(self.out / "upstream.py")], {**os.environ, "TORCHDYNAMO_DISABLE": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("differ in 0 of 6 elements", done.stdout)

    def test_nothing_is_written_where_no_operator_alone_differs(self) -> None:
        self.assertIn("no operator alone differs", self.recorded(PLACE, "none"))
        self.assertFalse((self.out / "upstream.py").exists())

    def test_a_place_that_was_not_computed_is_told(self) -> None:
        with self.assertRaisesRegex(RecordError, r"aten\.rsqrt\[1\]#0 was not computed at step 1, forward"):
            self.recorded("1 0 forward Norm/aten.rsqrt[1]#0", "none")

    def test_bad_places_are_refused(self) -> None:
        for bad in ("here", "0 0 forward Norm#0", "0 0 forward Norm/aten.rsqrt[0]#self.0"):
            with self.assertRaisesRegex(InputError, "--alone: found"):
                Recording(self.out, None, None, "op", alone=bad)
        with self.assertRaisesRegex(InputError, "expected level op, in one process"):
            Recording(self.out, None, None, "module", alone=PLACE)


if __name__ == "__main__":
    unittest.main()
