"""Transformers' Qwen3 under an older Transformers and under the newest torch, as arms of versions.json.

    SAMEBITS=build/samebits python versions_test.py     of the environments that tools/clients makes

Each arm runs unrecorded too, and must print the same.
"""

from __future__ import annotations

import json
import os
import shutil
import unittest

from run import OUT, ROOT, samebits, say, timed

CASE = ROOT / "python/clients/versions.json"
RUN = OUT / "run-versions"


class VersionsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        shutil.rmtree(RUN, ignore_errors=True)
        cls.case = samebits("run", str(CASE), "--out", str(RUN))
        cls.said = " ".join(cls.case.stdout.split())
        say("versions", cls.case)

    def test_an_older_transformers_parts_in_the_gradient_of_keys(self) -> None:
        self.assertEqual(self.case.returncode, 1, self.case.stdout + self.case.stderr)
        place = "first value that differs: step 0, backward, model.layers.3.self_attn/aten.mul.Tensor[0]#0"
        self.assertIn(place, self.said.partition("here and transformers-4 diverge where")[2])

    def test_the_newest_torch_is_compared(self) -> None:
        self.assertRegex(self.said, r"here = newest-torch +(holds|FAILS)")

    def test_the_recorder_changes_no_result(self) -> None:
        for arm, settings in json.loads(CASE.read_text())["arms"].items():
            with self.subTest(arm):
                python, *command = settings["command"]
                program = command[command.index("--") + 1 :]
                env = [f"{name}={value}" for name, value in settings.get("env", {}).items()]
                done = timed("env", *env, python, *program, cwd=CASE.parent)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater(len(done.stdout), 20)
                recorded = (RUN / arm / "output-0.txt").read_text()
                for line in done.stdout.splitlines():
                    self.assertIn(f"{line}{os.linesep}", recorded)


if __name__ == "__main__":
    unittest.main()
