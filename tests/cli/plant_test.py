"""`samebits run --plant` from outside. Run by ctest: plant_test.py BINARY."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = None
CASE = {
    "name": "planted", "model": str(ROOT / "cases/models/tiny"), "steps": 2,
    "workload": {"group": 2, "max_new_tokens": 4,
                 "prompts": [{"prompt": "The capital", "answer": "paris"}, {"prompt": "Water", "answer": "wet"}]},
    "arms": {"eager": {}, "full": {"generator": "full_graph"}},
    "relations": [{"arms": ["eager", "full"], "holds": "bit_exact"}]}
# Nothing is left of the comparison but the arms' own evidence.
BLIND = {"on_policy": {"holds": "none", "reason": "blinded"},
         "relations": [{"arms": ["eager", "full"], "holds": "allclose", "rtol": 1e9, "atol": 1e9,
                        "tensors": "not_compared", "reason": "blinded"}]}


def samebits(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})


class PlantTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def case(self, **more):
        file = self.folder / "case.json"
        file.write_text(json.dumps({**CASE, **more}))
        return file

    def run_case(self, file, *flags):
        return samebits("run", file, "--golden", self.folder, "--out", self.folder / "run", "--force", *flags)

    def test_counts_stand_on_the_last_screen_and_in_the_reports(self):
        run = self.run_case(self.case(), "--plant", 16)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        counts = re.search(r"(\d+) faults planted: (\d+) executed, (\d+) caught, (\d+) localised to the exact "
                           r"operator, (\d+) without effect, (\d+)", " ".join(run.stdout.split()))
        planted, executed, caught, exact, without_effect, escaped = map(int, counts.groups())
        self.assertEqual((planted, executed, escaped), (16, 16, 0))
        self.assertEqual(caught + without_effect, 16)
        self.assertGreater(exact, 3)
        self.assertRegex(run.stdout, r"kind +planted +executed +caught +exact +no effect +escaped")
        self.assertIn("## Planted faults", (self.folder / "run/report.md").read_text())
        self.assertIn("Planted faults", (self.folder / "run/report.html").read_text())
        report = json.loads(samebits("report", self.folder / "run", "--format", "json").stdout)
        self.assertEqual(len(report["planted"]), 16)

    def test_the_same_seed_plants_the_same(self):
        said = []
        for seed in (1, 1, 2):
            self.run_case(self.case(), "--plant", 6, "--plant-seed", seed)
            said.append((self.folder / "run/planted.json").read_text())
        self.assertEqual(said[0], said[1])
        self.assertNotEqual(said[0], said[2])

    def test_what_was_planted_is_planted_again(self):
        self.run_case(self.case(), "--plant", 6)
        file = self.folder / "earlier.json"
        (self.folder / "run/planted.json").rename(file)
        again = self.run_case(self.case(), "--plant-again", file)
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        self.assertEqual((self.folder / "run/planted.json").read_text(), file.read_text())
        others = self.case(arms={"a": {}, "b": {}}, relations=[{"arms": ["a", "b"], "holds": "bit_exact"}])
        without = self.run_case(others, "--plant-again", file)
        self.assertEqual(without.returncode, 2)
        self.assertRegex(without.stderr, "^samebits: --plant-again: found a fault of arm \"(eager|full)\"")

    # Sizes change, and a gather is cut only where they do not divide.
    def test_a_guard_that_passes_where_it_is_false_is_named(self):
        arms = {"tp2": {"mesh": {"tp": 2}},
                "guarded": {"mesh": {"tp": 2, "gathered_size": "conditional"}, "generator": "captured",
                            "workload": {"max_batch_tokens": 5}}}
        run = self.run_case(self.case(arms=arms, relations=[{"arms": list(arms), "holds": "bit_exact"}]),
                            "--plant", 4, "--plant-kind", "guard")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        planted = json.loads((self.folder / "run/planted.json").read_text())
        self.assertEqual([(each["arm"], each["outcome"], each["exact"]) for each in planted],
                         [("guarded", "caught", True)] * 4)
        for each in planted:
            self.assertIn("a graph ran where its guard is false: " + each["witness"]["caller"], each["named"])
            self.assertTrue(each["witness"]["caller"].startswith(each["fault"]["op"]))
        alone = self.run_case(self.case(arms=arms, relations=[{"arms": list(arms), "holds": "bit_exact"}]), "--set",
                              "guarded.plant=" + json.dumps(planted[0]["fault"]))
        self.assertNotEqual(alone.returncode, 0, alone.stdout)
        guards = json.loads((self.folder / "run/guarded/guards.json").read_text())  # also where it broke
        self.assertEqual(sum(at["served"] for each in guards for at in each["false_at"]), 1)
        none = self.run_case(self.case(), "--plant", 4, "--plant-kind", "guard")
        self.assertEqual(none.returncode, 2, none.stdout)
        self.assertIn("--plant-kind: found guard, expected a kind that an arm can plant", none.stderr)

    def test_blinded_comparison_lets_faults_escape_and_each_can_be_planted_alone(self):
        run = self.run_case(self.case(**BLIND), "--plant", 16)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"\d+ of 16 planted faults escaped the verdict")
        flag = re.search(r"samebits run CASE (--set .*)", run.stdout).group(1)
        planted = json.loads((self.folder / "run/planted.json").read_text())
        self.assertIn("escaped", {each["outcome"] for each in planted})

        seeing = self.run_case(self.case(), *shlex.split(flag))
        self.assertEqual(seeing.returncode, 1, seeing.stdout + seeing.stderr)
        arm = re.match(r"--set (\w+)\.plant", flag).group(1)
        self.assertIn('"planted":{', (self.folder / "run" / arm / "steps.jsonl").read_text())

    def test_a_fault_reaches_the_process_of_its_rank_and_is_localised(self):
        arms = {"tp2": {"mesh": {"tp": 2}}, "ranks": {"mesh": {"kind": "gloo", "tp": 2}}}
        run = self.run_case(self.case(arms=arms, relations=[{"arms": list(arms), "holds": "bit_exact"}]), "--plant", 16)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        planted = json.loads((self.folder / "run/planted.json").read_text())
        of_ranks = [each for each in planted if each["arm"] == "ranks"]
        self.assertEqual(len(of_ranks), 8)
        for each in of_ranks:
            self.assertEqual(each["witness"]["rank"], each["fault"]["rank"])
        self.assertIn(1, {each["witness"]["rank"] for each in of_ranks})
        self.assertGreater(sum(each.get("exact", False) for each in of_ranks), 1)
        self.assertEqual([each.name for each in (self.folder / "run").iterdir() if each.name.startswith("op-")], [])

    # Rank 0 has the right norm: only the other one's own copy of it differs.
    def test_a_fault_that_one_rank_alone_sees_is_localised_as_it_sees_it(self):
        arms = {"tp2": {"mesh": {"tp": 2}}, "ranks": {"mesh": {"kind": "gloo", "tp": 2}}}
        fault = {"kind": "flip", "op": "samebits::sum_squares", "phase": "optimizer", "call": 5, "bit": 31, "rank": 1}
        file = self.folder / "earlier.json"
        file.write_text(json.dumps([{"arm": "ranks", "fault": fault, "outcome": "not executed", "text": ""}]))
        run = self.run_case(self.case(steps=1, arms=arms, relations=[{"arms": list(arms), "holds": "bit_exact"}]),
                            "--plant-again", file)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        planted = json.loads((self.folder / "run/planted.json").read_text())[0]
        self.assertEqual((planted["text"], planted["exact"]), ("the ranks of ranks do not agree", True), planted)
        self.assertIn("step 0, optimizer, rank 1, grad_norm: samebits::sum_squares itself", planted["named"])

    def test_bad_use_is_one_line(self):
        file = self.case()
        for flags, line in (([], None), (["--plant", "0"], "--plant"), (["--plant-seed", "2"], "--plant"),
                            (["--plant-kind", "flip"], "--plant"), (["--plant", "1", "--plant-kind", "none"], "kind"),
                            (["--plant-again", "nothing.json"], "nothing.json"),
                            (["--plant", "3", "--set", "relations=[]"], "--plant"),
                            (["--set", 'eager.plant={"kind":"flip","op":"aten::add"}'], "phase")):
            run = self.run_case(file, *flags)
            self.assertEqual(run.returncode, 2 if line else 0, run.stderr)
            if line:
                self.assertIn(line, run.stderr)
                self.assertEqual(len(run.stderr.strip().splitlines()), 1, run.stderr)


if __name__ == "__main__":
    BINARY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
