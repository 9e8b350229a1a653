"""Two runs of Transformers' Qwen3 are recorded, and `samebits compare` names where they part.

    SAMEBITS=build/samebits python qwen3_test.py        prints the table of reports/recorder/README.md

Needs requirements.txt and the recorder installed. Each arm runs unrecorded too, and must have the same results.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODEL = "cases/models/tiny"
SAMEBITS = os.environ.get("SAMEBITS", str(ROOT / "build/samebits"))

ARMS = {
    "sdpa": ("train",),
    "again": ("train",),
    "eager": ("train", "--attention", "eager"),
    "compiled": ("train", "--compile"),
    "bf16": ("train", "--dtype", "bfloat16"),
    "bf16-eager": ("train", "--dtype", "bfloat16", "--attention", "eager"),
    "bf16-compiled": ("train", "--dtype", "bfloat16", "--compile"),
    "one": ("score", "--batch", "1"),
    "of-eight": ("score", "--batch", "8"),
    "bf16-one": ("score", "--batch", "1", "--dtype", "bfloat16"),
    "bf16-of-eight": ("score", "--batch", "8", "--dtype", "bfloat16"),
}


class Parting(NamedTuple):
    """What `samebits compare` said of two arms."""

    code: int
    counts: str
    first: str  # the first place, of whatever kind
    value: str  # the first value that both saw and that differs
    line: str  # of the program, behind the last of them


def run(*command: str) -> subprocess.CompletedProcess[str]:
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {
        **os.environ,
        "PATH": path,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


class Qwen3Test(unittest.TestCase):
    table: list[tuple[str, str, Parting]] = []

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.recorded: dict[tuple[str, str], str] = {}

    def arm(self, name: str, level: str = "op") -> str:
        """The folder of an arm; recorded once."""
        out = f"{self.folder.name}/{name}-{level}"
        if (name, level) not in self.recorded:
            part = ("--part", "0/8") if "of-eight" in name else ()
            program = (str(HERE / "qwen3.py"), MODEL, *ARMS[name])
            recorder = (sys.executable, "-m", "samebits_record", "--out", out, "--level", level, *part, "--")
            done, plain = run(*recorder, *program), run(sys.executable, *program)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stdout, plain.stdout, "the recorder changed the results")
            self.assertGreater(len(done.stdout), 20)
            self.recorded[name, level] = out
        return out

    def compare(self, a: str, b: str, level: str = "op") -> Parting:
        done = run(SAMEBITS, "compare", self.arm(a, level), self.arm(b, level))
        self.assertIn(done.returncode, (0, 1), done.stderr)
        text = done.stdout

        def after(words: str) -> str:
            found = re.search(rf"^{words}: (.*)$", text, re.M)
            return found.group(1) if found else ""

        lines = re.findall(r"^  in the program: (.*)$", text, re.M)
        counts = text.splitlines()[0].partition("bit_exact: ")[2]
        value = after("first value that differs") or ("" if done.returncode == 0 else after("first"))
        parting = Parting(done.returncode, counts, after("first"), value, lines[-1] if lines else "")
        if level == "op":
            self.table.append((a, b, parting))
        return parting

    def assert_parts(self, parting: Parting, place: str) -> None:
        self.assertEqual(parting.code, 1)
        self.assertTrue(parting.value.startswith(place), parting)

    def test_a_run_agrees_with_itself(self) -> None:
        for level in ("step", "module", "op"):
            parting = self.compare("sdpa", "again", level)
            self.assertEqual((parting.code, parting.first), (0, ""), parting)

    def test_eager_attention_against_sdpa(self) -> None:
        parting = self.compare("sdpa", "eager")
        self.assert_parts(parting, "step 0, forward, model.layers.0.self_attn.o_proj#in0: ")
        self.assert_parts(self.compare("bf16", "bf16-eager"), "step 0, forward, model.layers.0.self_attn.o_proj#in0: ")

    def test_eager_against_compiled(self) -> None:
        place = "step 0, forward, model.layers.0.input_layernorm/aten.rsqrt[0]#0: "
        self.assert_parts(self.compare("sdpa", "compiled"), place)
        self.assert_parts(self.compare("bf16", "bf16-compiled"), place)

    def test_where_the_compiled_one_parts_one_operator_fails_alone(self) -> None:
        out = f"{self.folder.name}/alone"
        place = ("--alone", "0 0 forward model.layers.0.input_layernorm/aten.rsqrt[0]#0")
        recorder = (sys.executable, "-m", "samebits_record", "--out", out, "--level", "op", *place, "--")
        done = run(*recorder, str(HERE / "qwen3.py"), MODEL, *ARMS["sdpa"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("aten.mean.dim[0] alone, for stock torch", done.stderr)
        alone = run(sys.executable, f"{out}/upstream.py")
        self.assertEqual(alone.returncode, 1, alone.stderr)
        self.assertRegex(alone.stdout, r"differ in [1-9]\d* of 188 elements")
        print(f"\n{done.stderr[done.stderr.index('samebits_record: aten') :]}{alone.stdout}")

    def test_a_sequence_alone_against_the_same_in_a_batch_of_eight(self) -> None:
        for a, b in (("one", "of-eight"), ("bf16-one", "bf16-of-eight")):
            parting = self.compare(a, b)
            self.assertNotIn("only in", parting.counts)
            if parting.code != 0:  # which kernel serves which number of rows is the processor's affair
                self.assertRegex(parting.value, r"/aten\.(mm|bmm|_scaled_dot_product)")

    def test_programs_are_arms_of_a_case(self) -> None:
        out = f"{self.folder.name}/attention"
        done = run(SAMEBITS, "run", str(HERE / "attention.json"), "--out", out)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"sdpa = again +holds")
        self.assertNotIn("parts from itself", done.stdout)
        said = " ".join(done.stdout.split())
        self.assertIn("first value that differs: step 0, forward, model.layers.0.self_attn.o_proj#in0", said)
        self.assertIn("transformers/masking_utils.py", said)
        self.assertRegex(said, r"elements \d+ of 48128 differ")

    @classmethod
    def tearDownClass(cls) -> None:
        print("\n| a | b | counts | first place | first value that differs | line |\n|---|---|---|---|---|---|")
        for a, b, parting in cls.table:
            print("|", " | ".join([a, b, parting.counts, parting.first, parting.value, parting.line]), "|")


if __name__ == "__main__":
    unittest.main()
