"""The commit that moved the bits, by the command line.

bisect_test.py [TEST...] SAMEBITS"""

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
MOVED = 6  # of ten commits, from 0


class Bisect(unittest.TestCase):
    """Ten commits, of which one moves the loss."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.repository = Repository(self.folder / "repository")

    def commit_ten(self, moved="--scale 1.25", **others):
        """`others`: files of single commits, by number: _3={"build": "exit 2"}."""
        for i in range(10):
            files = {"flags": moved if i >= MOVED else "", "build": "echo > built.txt\n", **others.get(f"_{i}", {})}
            self.repository.commit(f"commit {i}", **files)

    def start(self, *flags, arm=None):
        file = self.folder / "commits.json"
        file.write_text(json.dumps({"name": "commits", "steps": 2,
                                    "arms": {"a": arm or self.repository.arm("HEAD")}}))
        return subprocess.Popen([PROGRAM, "bisect", file, "--out", self.folder / "found", *map(str, flags)],
                                cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def bisect(self, *flags, good=None, bad="HEAD", arm=None):
        process = self.start("--good", good or self.repository.commits[0], "--bad", bad, *flags, arm=arm)
        out, error = process.communicate(timeout=300)
        return process.returncode, out, error

    def title(self, i):
        return f"{self.repository.commits[i][:12]} commit {i}"

    def test_the_commit_is_found_and_its_case_shows_it(self):
        self.commit_ten()
        before = self.repository.git("rev-parse", "HEAD"), self.repository.git("for-each-ref")
        code, out, error = self.bisect()
        self.assertEqual(code, 0, out + error)
        self.assertIn(f"{self.title(MOVED)} moved the bits of a\n", out)
        self.assertRegex(out, r"it +differs always, in 2 runs; step 0, train, loss: 1 against 1\.25")
        self.assertRegex(out, r"good +.* commit 0: equal in 2 of 2 runs")
        self.assertRegex(out, r"tried +[34] of 8 commits between")
        self.assertEqual(before, (self.repository.git("rev-parse", "HEAD"), self.repository.git("for-each-ref")))
        case = json.loads((self.folder / "found/case.json").read_text())
        self.assertEqual([arm["commit"] for arm in case["arms"].values()], self.repository.commits[MOVED - 1:MOVED + 1])
        run = subprocess.run([PROGRAM, "run", self.folder / "found/case.json"], cwd=self.folder, text=True,
                             capture_output=True)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertIn("before and after diverge", run.stdout)

    def test_a_commit_that_does_not_build_or_run_is_skipped_and_said(self):
        self.commit_ten(_4={"build": "echo no header; exit 2"}, _8={"flags": "--then fail"})
        code, out, error = self.bisect()
        self.assertEqual(code, 0, out + error)
        self.assertIn(f"{self.title(MOVED)} moved the bits of a\n", out)
        self.assertRegex(out, rf"skipped +{self.title(4)}: cannot be run: .*exited with code 2; .*no header")

    def test_neighbours_that_do_not_build_are_not_told_apart(self):
        self.commit_ten(_5={"build": "exit 2"})
        code, out, error = self.bisect()
        self.assertEqual(code, 1, out + error)
        self.assertIn("one of 2 commits moved the bits of a", out)
        for i in (MOVED - 1, MOVED):
            self.assertIn(self.title(i), out)
        self.assertFalse((self.folder / "found/case.json").exists())

    def test_what_differs_only_sometimes_is_run_more_often(self):
        # Every other run of samebits's counts: the marks tell which.
        self.commit_ten(moved=f"--then sometimes --marks {self.folder / 'marks'}")
        code, out, error = self.bisect()
        self.assertEqual(code, 0, out + error)
        self.assertIn(f"{self.title(MOVED)} moved the bits of a\n", out)
        self.assertRegex(out, r"it +differs in \d of \d+ runs; step 1, train, loss")
        self.assertRegex(out, r"good +.* commit 0: equal in (\d+) of \1 runs")
        self.assertNotRegex(out, r"good +.* commit 0: equal in 2 of 2 runs")

    def test_a_good_commit_that_differs_from_itself_is_no_measure(self):
        self.commit_ten(_0={"flags": f"--then drift --marks {self.folder / 'marks'}"})
        code, out, error = self.bisect()
        self.assertEqual(code, 1, out + error)
        self.assertIn("nothing to find: the good commit differs from its own first run", out)
        self.assertIn("differs in 1 of 2 runs; step 1, train, loss", out)

    def test_where_nothing_moved_there_is_nothing_to_find(self):
        self.commit_ten(moved="")
        code, out, error = self.bisect()
        self.assertEqual(code, 1, out + error)
        self.assertIn("nothing to find: the bad commit is equal to the good one", out)
        self.assertIn("equal in 2 of 2 runs", out)

    def test_a_move_within_the_relation_is_none(self):
        self.commit_ten()
        code, out, _ = self.bisect("--relation", "allclose:0.5,0")
        self.assertEqual(code, 1, out)
        code, out, _ = self.bisect("--relation", "allclose:0.1,0", "--force")
        self.assertEqual(code, 0, out)
        run = subprocess.run([PROGRAM, "run", self.folder / "found/case.json"], cwd=self.folder, capture_output=True)
        self.assertEqual(run.returncode, 1, run.stderr)

    def test_a_bisection_that_was_killed_is_taken_up(self):
        self.commit_ten()
        flags = "--good", self.repository.commits[0], "--bad", "HEAD"
        process = self.start(*flags)
        journal = self.folder / "found/journal.jsonl"
        wait_for(lambda: journal.exists() and len(journal.read_text().splitlines()) >= 4)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        tried = len(journal.read_text().splitlines())
        code, _, error = self.bisect()
        self.assertEqual(code, 2)
        self.assertIn("found a bisection in it", error)
        code, out, error = self.bisect("--resume")
        self.assertEqual(code, 0, out + error)
        self.assertIn(f"{self.title(MOVED)} moved the bits of a\n", out)
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        self.assertGreater(len(lines), tried)
        candidates = [line["candidate"] for line in lines[1:]]
        self.assertEqual(len(candidates), len(set(candidates)))  # none was tried twice

    def test_bad_use_is_refused_in_one_line(self):
        self.commit_ten()
        first, last = self.repository.commits[0], self.repository.commits[-1]
        self.repository.git("checkout", "-q", "--orphan", "other")
        other = self.repository.commit("of no line")
        command = {"command": ["true", "{out}"]}
        for flags, arm, expected in [
                (("--good", "nosuch", "--bad", last), None, r'--good: found "nosuch", expected a commit of'),
                (("--good", first, "--bad", first), None, r"--bad: found .*, the good commit"),
                (("--good", last, "--bad", first), None, r"--good: found .*, which is no ancestor of the bad commit"),
                (("--good", other, "--bad", last), None, r"which is no ancestor of the bad commit"),
                (("--good", first, "--bad", last, "--relation", "must_diverge"), None, r"--relation: found must_diverge"),
                (("--good", first, "--bad", last), command, r"arms: found none of a commit"),
                (("--good", first, "--bad", last, "--arm", "a"), command, r"arm a: found no commit"),
                (("--good", first), None, r"--bad is required")]:
            with self.subTest(flags):
                process = self.start(*flags, arm=arm)
                _, error = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 2, error)
                self.assertRegex(error, expected)
                self.assertEqual(len(error.splitlines()), 1)
                self.assertFalse((self.folder / "found").exists())

    def test_a_bad_commit_that_does_not_build_breaks_it(self):
        self.commit_ten(_9={"build": "echo no header; exit 2"})
        code, _, error = self.bisect()
        self.assertEqual(code, 3, error)
        self.assertRegex(error, r"arm a: the build of .*no header")


if __name__ == "__main__":
    unittest.main()
