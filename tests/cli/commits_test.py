"""Arms that are a program as it was in a commit, by the command line.

commits_test.py [TEST...] SAMEBITS"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from repository import Repository
from waiting import wait_for

PROGRAM = pathlib.Path(sys.argv.pop()).resolve()


class Commits(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.out = self.folder / "run"
        self.repository = Repository(self.folder / "repository")
        self.old = self.repository.commit("as it was")
        self.new = self.repository.commit("another scale", flags="--scale 1.25")

    def case(self, arms):
        file = self.folder / "commits.json"
        file.write_text(json.dumps({"name": "commits", "steps": 2, "arms": arms,
                                    "relations": [{"arms": list(arms), "holds": "bit_exact"}] if len(arms) > 1 else []}))
        return file

    def samebits(self, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.folder, text=True, capture_output=True,
                              timeout=120)
        return done.returncode, done.stdout, done.stderr

    def run_case(self, arms, *flags):
        return self.samebits("run", self.case(arms), "--out", self.out, *flags)

    def test_two_commits_are_compared(self):
        before = self.repository.git("status", "--porcelain", "--branch"), self.repository.git("worktree", "list")
        code, out, error = self.run_case({"old": self.repository.arm("HEAD~1"), "new": self.repository.arm("HEAD")})
        self.assertEqual(code, 1, out + error)
        self.assertIn("step 0, train, loss", out)
        self.assertIn("1 against 1.25", out)
        manifest = json.loads((self.out / "manifest.json").read_text())
        self.assertEqual([arm["commit"] for arm in manifest["arms"]], [self.old, self.new])
        self.assertIn(f"another program, commit {self.new}", (self.out / "report.md").read_text())
        self.assertEqual((self.out / "build-old.txt").read_text(), "building\n")
        self.assertFalse((self.out / ".checkouts").exists())
        self.assertEqual(before, (self.repository.git("status", "--porcelain", "--branch"),
                                  self.repository.git("worktree", "list")))

    def test_the_same_commit_gives_the_same_bits(self):
        name = self.repository.git("rev-parse", "--abbrev-ref", "HEAD")
        code, out, error = self.run_case({"a": self.repository.arm(self.new), "b": self.repository.arm(name)})
        self.assertEqual(code, 0, out + error)
        self.assertIn("a and b are equal to the bit", out)

    def test_what_is_not_committed_is_not_run(self):
        (self.repository.folder / "flags.txt").write_text("--scale 7")
        code, out, error = self.run_case({"a": self.repository.arm(self.old), "b": self.repository.arm("HEAD~1")})
        self.assertEqual(code, 0, out + error)

    def test_a_closer_look_and_a_reduction_have_the_commit(self):
        command = [sys.executable, "train.py", "{out}", "--steps", "{steps}", "--level", "{level}", "--keep", "{keep}",
                   "--pair"]
        arms = {"old": self.repository.arm(self.old, command=command),
                "new": self.repository.arm(self.new, command=command)}
        code, out, error = self.run_case(arms)
        self.assertEqual(code, 1, out + error)
        self.assertIn("step 0, train, layer#0", out)
        self.assertIn("1 of 2 differ", " ".join(out.split()))
        code, out, error = self.samebits("reduce", self.out)
        self.assertEqual(code, 0, out + error)
        self.assertRegex(out, r"old and new differ at layer, always, in 5 runs(.|\n)*steps +1 \(was 2\)")
        self.assertEqual(out.count(self.old), 1)  # no commit is put in the other's place

    def test_the_checkout_is_told(self):
        tool = self.folder / "tool.py"
        tool.write_text("import runpy, sys\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n")
        arm = self.repository.arm(self.new, command=[sys.executable, str(tool), "{checkout}/train.py", "{out}"],
                                  build=["sh", "-c", "test $HERE = {checkout} && sh build.sh"],
                                  env={"HERE": "{checkout}"})
        code, out, error = self.run_case({"a": arm})
        self.assertEqual(code, 0, out + error)

    def test_a_build_that_fails_is_told_with_its_last_lines(self):
        broken = self.repository.commit("broken", build="echo compiling; echo no such header >&2; exit 2\n")
        code, out, error = self.run_case({"old": self.repository.arm(self.old), "new": self.repository.arm(broken)})
        self.assertEqual(code, 3, out + error)
        self.assertRegex(error, r"arm new: the build of .*, sh, exited with code 2; the end of "
                                r".*/build-new\.txt: compiling / no such header")
        self.assertEqual(len(error.splitlines()), 1)
        self.assertFalse((self.out / ".checkouts").exists())

    def test_a_run_is_not_taken_up_at_another_commit(self):
        hangs = self.repository.commit("hangs", flags="--then hang")
        arms = {"a": self.repository.arm("HEAD~1"), "b": self.repository.arm("HEAD")}
        run = subprocess.Popen([PROGRAM, "run", self.case(arms), "--out", self.out], stdout=subprocess.DEVNULL)
        wait_for(lambda: (self.out / "b" / "program").exists())
        run.send_signal(signal.SIGKILL)
        run.communicate()
        self.assertTrue((self.out / ".checkouts" / "b").exists())
        self.repository.git("reset", "--hard", "HEAD~1")
        self.repository.commit("goes on", flags="--scale 1.25")
        code, _, error = self.run_case(arms, "--resume")
        self.assertEqual(code, 2, error)
        self.assertIn(f'programs.b.commit HEAD: found "{hangs}"', error)
        code, out, error = self.run_case(arms, "--force")
        self.assertEqual(code, 0, out + error)
        self.assertFalse((self.out / ".checkouts").exists())

    def test_bad_arms_are_refused_in_one_line(self):
        good = self.repository.arm("HEAD")
        for arm, expected in [
                ({**good, "commit": "nosuch"}, r"arm a: commit: found \"nosuch\", expected a commit of "),
                ({**good, "commit": "--all"}, r"expected a revision of the repository"),
                ({**good, "commit": "HEAD:train.py"}, r"expected a commit of "),
                ({**good, "repository": str(self.folder)}, r"expected a folder in a git repository"),
                ({**good, "repository": "nowhere"}, r"nowhere, of which git says: fatal: cannot change to"),
                ({**good, "cwd": "../elsewhere"}, r"expected a folder in the checkout"),
                ({**good, "build": []}, r"arms\.a\.build"),
                ({"build": ["make"], "command": ["true", "{out}"]}, r"found build without a commit"),
                ({"command": ["true", "{out}", "{checkout}"]}, r"found \{checkout\} without a commit"),
                ({"recorded": "x", "commit": "HEAD"}, r"found commit beside recorded")]:
            with self.subTest(str(arm)):
                code, _, error = self.run_case({"a": arm})
                self.assertEqual(code, 2, error)
                self.assertRegex(error, expected)
                self.assertEqual(len(error.splitlines()), 1)
                self.assertFalse(self.out.exists())

    def test_a_program_that_the_commit_lacks_is_bad_input(self):
        code, _, error = self.run_case({"a": self.repository.arm("HEAD", command=["./nosuch", "{out}"])})
        self.assertEqual(code, 2, error)
        self.assertIn('arm a: command: found "./nosuch"', error)


if __name__ == "__main__":
    unittest.main()
