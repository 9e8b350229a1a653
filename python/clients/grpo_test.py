"""TRL's GRPOTrainer, three steps, as arms of grpo.json: against itself, another attention, and its own rollout.

SAMEBITS=build/samebits python grpo_test.py
"""

from __future__ import annotations

import json
import shutil
import sys
import unittest
from collections import Counter
from typing import Any

from run import OUT, ROOT, samebits, say, timed

RUN, STATES = OUT / "run-grpo", OUT / "grpo"


def kind_of(observation: dict[str, Any]) -> str:
    site = observation["site"]
    if site.endswith(".grad"):
        return "gradient"
    return site.split("[")[0] if site in ("loss", "grad_norm") or "logprob" in site else "weight"


def observed(arm: str) -> dict[tuple[int, str, str], dict[str, Any]]:
    lines = map(json.loads, (RUN / arm / "rank-0.jsonl").read_text().splitlines())
    return {(each["step"], each["phase"], each["site"]): each for each in lines}


class GrpoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        for folder in (RUN, STATES):
            shutil.rmtree(folder, ignore_errors=True)
        cls.case = samebits("run", "python/clients/grpo.json", "--out", str(RUN))
        cls.said = " ".join(cls.case.stdout.split())
        say("TRL", cls.case)

    def compare_states(self, a: str, b: str, only: str) -> str:
        files = [str(STATES / arm / "trainer_state.json") for arm in (a, b)]
        return samebits("compare", *files, "--only", only).stdout

    def test_a_run_agrees_with_itself(self) -> None:
        self.assertEqual(self.case.returncode, 1, self.case.stdout + self.case.stderr)
        self.assertRegex(self.said, r"sdpa = again +holds")
        self.assertNotIn("parts from itself", self.said)
        self.assertIn(", 0 differ\n", self.compare_states("sdpa", "again", "^(?!.*(time|second))"))

    def test_another_attention_has_equal_losses_and_other_gradients(self) -> None:
        self.assertRegex(self.said, r"sdpa = eager +FAILS")
        a, b = observed("sdpa"), observed("eager")
        self.assertEqual(list(a), list(b))
        kinds = Counter(kind_of(each) for each in a.values())
        different = Counter(kind_of(a[place]) for place in a if a[place]["digest"] != b[place]["digest"])
        say_counts = ", ".join(f"{kind}: {different[kind]} of {count}" for kind, count in kinds.items())
        print(f"\nsdpa against eager, what differs: {say_counts}")
        self.assertEqual(different["loss"], 0)
        self.assertEqual(different["gradient"], kinds["gradient"])
        self.assertIn(", 0 differ\n", self.compare_states("sdpa", "eager", "^(loss|reward)"))
        self.assertIn("grad_norm", self.compare_states("sdpa", "eager", "^(loss|reward|grad_norm)"))

    def test_the_trainer_finds_other_logprobs_than_the_rollout_within_the_bound(self) -> None:
        self.assertNotIn("is off policy", self.said)
        done = samebits("report", str(RUN))
        self.assertRegex(done.stdout, r"sdpa +\S* *\S* +allclose +holds +\d+ +[1-9]")

    def test_the_recorder_changes_no_result(self) -> None:
        program = str(ROOT / "python/clients/grpo.py")
        done = timed(sys.executable, program, "cases/models/tiny", str(STATES / "plain"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(", 0 differ\n", self.compare_states("sdpa", "plain", "^(?!.*(time|second))"))


if __name__ == "__main__":
    unittest.main()
