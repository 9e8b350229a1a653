"""A repository of ten commits of a training script, one of which moves the bits: samebits bisect finds it.

    SAMEBITS=build/samebits python bisect_test.py     of the environment that tools/clients makes

The first commit is bytes_model.py; the others are edits of it, as a program's history is made of.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import tempfile
import unittest

from run import samebits, say

PROGRAM = pathlib.Path(__file__).with_name("bytes_model.py")
MOVES = "norm: scale the weight, not the batch"
EDITS = [  # title, what was there, what is
    ("one name for the size of the hidden state", "class Norm(", "HIDDEN = 64\n\n\nclass Norm("),
    ("norm: the name in place of the number", "torch.ones(64)", "torch.ones(HIDDEN)"),
    ("count steps from one", "print(step, loss.item())", "print(step + 1, loss.item())"),
    ("norm: squares by square()", "x.pow(2)", "x.square()"),
    ("clear gradients to None by name", "zero_grad()", "zero_grad(set_to_none=True)"),
    (MOVES, "return x * scale * self.weight", "return x * (scale * self.weight)"),
    ("block: the product of gate and up has a name",
     "        return x + self.down(functional.silu(self.gate(y)) * self.up(y))",
     "        product = functional.silu(self.gate(y)) * self.up(y)\n        return x + self.down(product)"),
    ("block: up before gate", "functional.silu(self.gate(y)) * self.up(y)",
     "self.up(y) * functional.silu(self.gate(y))"),
    ("print the loss with eight digits", "loss.item())", 'f"{loss.item():.8f}")'),
]  # fmt: skip
ARM = {
    "commit": "HEAD",
    "repository": "repository",
    "command": ["python3", "-m", "samebits_record", "--out", "{out}", "--level", "{level}", "--keep", "{keep}", "--",
                "train.py"],
}  # fmt: skip


class BisectTest(unittest.TestCase):
    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@x")
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=self.folder / "repository", check=True, text=True, capture_output=True)
        return done.stdout.strip()

    def commit(self, title: str, program: str) -> str:
        (self.folder / "repository/train.py").write_text(program)
        self.git("add", ".")
        self.git("commit", "-q", "-m", title)
        return self.git("rev-parse", "HEAD")

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        (self.folder / "repository").mkdir()
        self.git("init", "-q")
        (self.folder / "repository/text.txt").write_text(PROGRAM.read_text())
        (self.folder / "history.json").write_text(json.dumps({"name": "history", "arms": {"train": ARM}}))

    def test_the_commit_is_found_and_the_operator_named(self) -> None:
        program = PROGRAM.read_text()
        commits = [self.commit("a model of bytes", program)]
        for title, old, new in EDITS:
            self.assertEqual(program.count(old), 1, title)
            program = program.replace(old, new)
            commits.append(self.commit(title, program))
        self.assertEqual(len(commits), 10)
        found = self.folder / "found"
        case = str(self.folder / "history.json")
        done = samebits("bisect", case, "--good", commits[0], "--bad", "HEAD", "--out", str(found))
        say("bisect", done)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{MOVES} moved the bits of train\n", done.stdout)
        self.assertRegex(done.stdout, r"it +differs always, in 2 runs; step 0, ")
        run = samebits("run", str(found / "case.json"), "--out", str(self.folder / "run"))
        say("the commit against the one before", run)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertRegex(" ".join(run.stdout.split()), r"step 0, forward, blocks\.0\.norm/aten\.mul\.Tensor\[0\]#0")


if __name__ == "__main__":
    unittest.main()
