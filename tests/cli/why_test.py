"""What moved a golden, by the command line.

why_test.py [TEST...] SAMEBITS"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(sys.argv.pop()).resolve()
SMALL = {"group": 2, "max_new_tokens": 4}


class Why(unittest.TestCase):
    """A small case with a model of its own in a repository, blessed at its only commit."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.blessed = pathlib.Path(cls.temporary.name) / "blessed"
        (cls.blessed / "cases").mkdir(parents=True)
        shutil.copytree(ROOT / "cases/models/tiny", cls.blessed / "cases/model")
        cls.write_case(cls.blessed, SMALL)
        cls.git(cls.blessed, "init", "-q")
        cls.git(cls.blessed, "add", ".")
        cls.git(cls.blessed, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "-m", "blessed")
        cls.samebits(cls.blessed, "run", "cases/small.json", "--out", "run")
        cls.samebits(cls.blessed, "bless", "run", "--reason", "a test")
        golden = cls.blessed / "golden/small/eager.json"
        text = json.loads(golden.read_text())
        commit = cls.git(cls.blessed, "rev-parse", "--short=12", "HEAD").stdout.strip()
        text["environment"]["samebits"] = f"0.1.0, commit {commit}"  # of this repository
        golden.write_text(json.dumps(text, indent=2))

    @staticmethod
    def git(folder, *arguments):
        return subprocess.run(["git", *arguments], cwd=folder, check=True, text=True, capture_output=True)

    @staticmethod
    def samebits(folder, *arguments):
        done = subprocess.run([PROGRAM, *arguments], cwd=folder, text=True, capture_output=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    @staticmethod
    def write_case(folder, workload, **more):
        case = {"name": "small", "model": "model", "steps": 1, "workload": {"name": "grpo", **workload},
                "arms": {"eager": {}}, **more}
        (folder / "cases/small.json").write_text(json.dumps(case))

    def setUp(self):
        self.folder = pathlib.Path(self.temporary.name) / self.id().rsplit(".", 1)[1]
        shutil.copytree(self.blessed, self.folder)

    def why(self, expected=0):
        code, out, error = self.samebits(self.folder, "why", "golden/small/eager.json")
        self.assertEqual(code, expected, out + error)
        return out

    def test_nothing_moved(self):
        self.assertIn("arm eager gives its golden's bits: nothing moved", self.why(expected=1))

    def test_a_setting(self):
        self.write_case(self.folder, {**SMALL, "optimizer": {"lr": 0.5}})
        out = self.why()
        self.assertRegex(out, r"workload\.optimizer\.lr +1e-05 +0\.5 +put back: the golden's bits")
        self.assertIn("\nworkload.optimizer.lr moved it.", out)

    def test_one_of_two_settings(self):
        self.write_case(self.folder, {**SMALL, "max_batch_tokens": 64}, seed=7)
        out = self.why()
        self.assertRegex(out, r"workload\.max_batch_tokens +256 +64 +put back: other bits")
        self.assertIn("\nseed moved it.", out)

    def test_two_settings_together(self):
        self.write_case(self.folder, {**SMALL, "optimizer": {"lr": 0.5}}, seed=7)
        self.assertIn("\nseed and workload.optimizer.lr moved it together.", self.why())

    def test_a_bit_of_the_checkpoint(self):
        file = self.folder / "cases/model/model.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        out = self.why()
        self.assertRegex(out, r"model\.safetensors +\w{32} +\w{32} +put back: the golden's bits")
        self.assertIn("\nmodel.safetensors moved it.", out)

    def test_a_file_that_git_has_not(self):
        shutil.rmtree(self.folder / ".git")
        file = self.folder / "cases/model/model.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        out = self.why()
        self.assertRegex(out, r"model\.safetensors +\w{32} +\w{32} +not put back")
        self.assertIn("Nothing that could be put back moved it.", out)

    def test_the_program(self):
        """The bits of other settings under those of the case: no part that can be put back gives them."""
        self.write_case(self.folder, {**SMALL, "optimizer": {"lr": 0.5}})
        self.samebits(self.folder, "run", "cases/small.json", "--out", "other")
        self.samebits(self.folder, "bless", "other", "--golden", "golden-of-other")
        golden = self.folder / "golden/small"
        other = self.folder / "golden-of-other/small"
        text = json.loads((golden / "eager.json").read_text())
        text["stream_digest"] = json.loads((other / "eager.json").read_text())["stream_digest"]
        (golden / "eager.json").write_text(json.dumps(text))
        shutil.copy(other / "eager.jsonl", golden / "eager.jsonl")
        self.write_case(self.folder, SMALL)
        out = self.why()
        self.assertIn("Nothing that could be put back moved it.\nWhat is left: samebits", out)
        self.assertRegex(out, r"git bisect start HEAD [0-9a-f]{12}\n")
        self.assertIn("build/samebits run cases/small.json --arm eager --steps 1 --golden golden", out)

    def test_a_golden_of_another_case(self):
        self.write_case(self.folder, {}, name="other")
        code, out, error = self.samebits(self.folder, "why", "golden/small/eager.json")
        self.assertEqual((code, out), (2, ""))
        self.assertIn('cases/small.json: name: found "other", expected "small"', error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
