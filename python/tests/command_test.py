"""python -m samebits_record: a program that is not touched."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from streams import read

import samebits_record

RECORDER = pathlib.Path(samebits_record.__file__).resolve().parents[1]  # installed, or the checkout's
PROGRAM = """
import sys, torch, sibling
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    loss = model(torch.ones(2, 4)).square().mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
print(sys.argv[1:], __name__, loss.item())
"""


class CommandTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "train.py").write_text(PROGRAM)
        (self.root / "sibling.py").write_text("")

    def run_python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(RECORDER), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=env, capture_output=True, text=True, check=False
        )

    def recorded(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run_python("-m", "samebits_record", *arguments)

    def test_a_fault_is_planted_or_the_run_fails(self) -> None:
        for place, code, line in (
            ("0 0 forward 0/aten.addmm[0]#0 1", 0, ""),
            ("0 0 forward 0/aten.addmm[7]#0 1", 3, "samebits_record: --plant: nothing was planted, the program did"),
            ("0 0 forward 0/aten.addmm[0]#0", 2, "samebits_record: --plant: found "),
        ):
            with self.subTest(place):
                done = self.recorded("--out", f"a{code}", "--level", "op", "--plant", place, "--", "train.py")
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertTrue(done.stderr.startswith(line), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1 if code else 0)
                self.assertEqual((self.root / f"a{code}/finished.json").exists(), code == 0)

    def test_what_is_set_up_before_the_first_forward_can_be_left_out(self) -> None:
        found = {}
        for begin in ("start", "forward"):
            done = self.recorded("--out", begin, "--level", "op", "--begin", begin, "--", "train.py")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            found[begin] = read(self.root / begin)
        draws = [each["site"] for each in found["start"] if each["site"].startswith("program/aten.uniform_")]
        self.assertEqual(len(draws), 4)
        begun = [each["site"] for each in found["start"]].index("0.weight")
        self.assertGreater(begun, 4)
        self.assertEqual(len(found["forward"]), len(found["start"]) - begun)
        # The operators of the program itself are counted from there on.
        kept = [[each for each in found["forward"] if each["phase"] != "program"]]
        self.assertEqual(kept, [[each for each in found["start"][begun:] if each["phase"] != "program"]])
        done = self.recorded("--out", "c", "--begin", "middle", "--", "train.py")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_the_program_runs_as_without_the_recorder(self) -> None:
        plain = self.run_python("train.py", "--lr", "3")
        for level in ("step", "module", "op"):
            with self.subTest(level):
                done = self.recorded("--out", f"out/{level}", "--level", level, "--", "train.py", "--lr", "3")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, plain.stdout, ""))
                found = read(self.root / "out" / level)
                self.assertEqual({each["step"] for each in found}, {0, 1, 2})
                sites = {each["site"] for each in found}
                self.assertLessEqual({"loss", "grad_norm", "0.weight", "2.bias.grad"}, sites)
                self.assertEqual("0/aten.addmm[0]#0" in sites, level == "op")
                self.assertEqual("2#0" in sites, level != "step")
        about = json.loads((self.root / "out/op/recorder.json").read_text())
        self.assertEqual((about["format"], about["level"], about["command"]), (1, "op", ["train.py", "--lr", "3"]))

    def test_the_weights_after_the_last_step_are_observed(self) -> None:
        """The program has ended by then, and its model is gone: as a global, and as a local of a function."""
        in_function = "def main():\n" + "".join(f"    {line}\n" for line in PROGRAM.splitlines() if line) + "main()\n"
        (self.root / "function.py").write_text(in_function)
        for program in ("train.py", "function.py"):
            with self.subTest(program):
                done = self.recorded("--out", program[:-3], "--", program)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                weights = [each["step"] for each in read(self.root / program[:-3]) if each["site"] == "0.weight"]
                self.assertEqual(weights, [0, 0, 1, 2])  # as the run begins, and behind each step

    def test_a_module_is_run_by_its_name(self) -> None:
        done = self.recorded("--out", "out", "--", "-m", "train", "--lr", "3")
        self.assertEqual((done.returncode, done.stdout), (0, self.run_python("train.py", "--lr", "3").stdout))

    def test_the_exit_code_of_the_program_is_kept(self) -> None:
        (self.root / "fails.py").write_text("import sys, torch\ntorch.ones(1)\nsys.exit(7)\n")
        done = self.recorded("--out", "out", "--level", "op", "--", "fails.py")
        self.assertEqual(done.returncode, 7)
        self.assertEqual(len(read(self.root / "out")), 1)
        self.assertFalse((self.root / "out/finished.json").exists())

    def test_an_error_of_the_program_is_told_as_python_does(self) -> None:
        (self.root / "raises.py").write_text("raise KeyError('mine')\n")
        done = self.recorded("--out", "out", "--", "raises.py")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.endswith("KeyError: 'mine'\n"), done.stderr)

    def test_a_map_that_does_not_fit_the_program_is_one_line_and_exit_code_2(self) -> None:
        rule = {"from": r"^0\.weight", "layout": "split", "dim": 0, "shares": [1, 1], "to": ["upper", "lower"]}
        for shares, expected in (([1, 1], 0), ([3, 2], 2)):
            (self.root / "map.json").write_text(json.dumps({"layouts": [{**rule, "shares": shares}]}))
            done = self.recorded("--out", f"out-{expected}", "--level", "step", "--map", "map.json", "--", "train.py")
            self.assertEqual(done.returncode, expected, done.stderr)
            sites = {each["site"] for each in read(self.root / f"out-{expected}")}
            self.assertEqual({"upper", "lower", "upper.grad"} <= sites, expected == 0)
        self.assertRegex(done.stderr, r"^samebits_record: map: 0\.weight: found shape \[8, 4\], expected .*: 3 \+ 2\n$")

    def test_bad_input_is_one_line_and_exit_code_2(self) -> None:
        self.recorded("--out", "used", "--", "train.py")
        for arguments, expected in (
            (("--out", "a", "--", "none.py"), "none.py: found no such file, expected a Python program"),
            (("--out", "a", "--level", "all", "--", "train.py"), "level: found 'all', expected step, module or op"),
            (
                ("--out", "used", "--", "train.py"),
                "used: found finished.json in it, expected a folder that is new",
            ),
            (("--out", "train.py", "--", "train.py"), "train.py: found "),
            (
                ("--out", "a", "--map", "none", "--", "train.py"),
                "none: found No such file or directory, expected a map",
            ),
            (("--out", "a"), "no program: -- PROGRAM.py ARGS is missing"),
            (("--", "train.py"), "the following arguments are required: --out"),
            (("--out", "a", "--", "-m"), "-m: found no name of a module, expected -- -m MODULE ARGS"),
            (("--out", "a", "--", "-m", "no_such"), "no_such: found no such module, expected the name of a module"),
        ):
            with self.subTest(arguments):
                done = self.recorded(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertTrue(done.stderr.startswith(f"samebits_record: {expected}"), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertFalse((self.root / "a").exists())


if __name__ == "__main__":
    unittest.main()
