"""Logs that other programs wrote, by the command line.

logs_test.py [TEST...] SAMEBITS"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

PROGRAM = pathlib.Path(sys.argv.pop()).resolve()

# Writes a CSV of three steps where it is told to, and prints the same, rounded.
TRAINER = """
import sys
loss = float(sys.argv[1])
with open(sys.argv[2], "w") as log:
    log.write("step,loss\\n")
    for step in range(3):
        loss *= 0.9
        log.write(f"{step},{loss!r}\\n")
        print(f"step: {step} loss: {loss:.4f}")
"""


class Logs(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def samebits(self, *arguments):
        done = subprocess.run([PROGRAM, *arguments], cwd=self.folder, text=True, capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def log(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def test_equal_logs_hold_no_more_than_they_have(self):
        rows = "step,loss,note\n0,0.5372,x\n1,0.2500,y\n"
        code, out, error = self.samebits("compare", self.log("a.csv", rows), self.log("b.csv", rows))
        self.assertEqual((code, error), (0, ""))
        self.assertIn("holds, as the logs hold it: to 4 decimals (loss)", out)
        self.assertNotIn("to the bit", out)
        self.assertIn("not read of a.csv: note", out)

    def test_steps_may_be_far_apart(self):
        rows = "step,loss\n0,0.5\n1000000000000,0.25\n"
        arms = {name: {"recorded": self.log(name + ".csv", rows)} for name in "ab"}
        self.log("case.json", json.dumps({"name": "far", "arms": arms,
                                          "relations": [{"arms": ["a", "b"], "holds": "bit_exact"}]}))
        code, out, error = self.samebits("run", "case.json", "--out", "run")
        self.assertEqual((code, error.count("samebits:")), (0, 0), out + error)
        self.assertEqual(len((self.folder / "run/a/steps.jsonl").read_text().splitlines()), 2)

    def test_dumps_of_two_formats_are_compared_to_the_bit(self):
        def array(values):
            data = struct.pack(f"<{len(values)}f", *values)
            head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(values)},), }}\n".encode()
            header = json.dumps({"w": {"dtype": "F32", "shape": [len(values)], "data_offsets": [0, len(data)]}}).encode()
            header += b" " * (-len(header) % 8)
            return (b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + data,
                    struct.pack("<Q", len(header)) + header + data)
        for values, expected in [((1, 2), 0), ((1, 2.5), 1)]:
            with zipfile.ZipFile(self.folder / "a.npz", "w") as archive:
                archive.writestr("w.npy", array(values)[0])
            (self.folder / "b.safetensors").write_bytes(array((1, 2))[1])
            code, out, error = self.samebits("compare", "a.npz", "b.safetensors")
            self.assertEqual((code, error), (expected, ""), out)
            self.assertIn("to the bit (w)", out)
            self.assertEqual("step 0, log, w: float32 [2], digest" in out, expected == 1)

    def test_answers_of_a_server_are_compared(self):
        def answer(token, logprob):
            return json.dumps({"choices": [{"logprobs": {"tokens": [token], "token_logprobs": [logprob]}}]})
        a = self.log("a.json", answer(" a", -6.489500522613525))
        for other, expected in [((" a", -6.489500522613525), 0), ((" a", -6.489500522613526), 1),
                                ((" b", -6.489500522613525), 1)]:
            code, out, _ = self.samebits("compare", a, self.log("b.json", answer(*other)))
            self.assertEqual(code, expected, out)
            self.assertIn("to the bit of float64 (logprob[0,0])", out)

    def test_the_first_value_that_differs_is_named(self):
        a = self.log("a.jsonl", '{"step": 0, "loss": 0.5}\n{"step": 1, "loss": 17.318632125854492}\n')
        b = self.log("b.jsonl", '{"step": 0, "loss": 0.5}\n{"step": 1, "loss": 17.318628311157227}\n')
        code, out, _ = self.samebits("compare", a, b)
        self.assertEqual(code, 1)
        self.assertIn("step 1, log, loss: 17.318632125854492 against 17.318628311157227, 2 ULP of float32", out)
        self.assertIn("differ: loss in 1 step\n", out)
        self.assertEqual(self.samebits("compare", a, b, "--relation", "allclose:1e-6,0")[0], 0)

    def test_sites_are_chosen_and_steps_named(self):
        a = self.log("a.csv", "it,loss,seconds\n0,0.5,1.25\n")
        b = self.log("b.csv", "it,loss,seconds\n0,0.5,1.5\n")
        self.assertEqual(self.samebits("compare", a, b, "--step", "it")[0], 1)
        self.assertEqual(self.samebits("compare", a, b, "--step", "it", "--only", "loss")[0], 0)
        code, _, error = self.samebits("compare", a, b)
        self.assertEqual((code, len(error.splitlines())), (2, 1))
        self.assertIn("a.csv: line 1: found no step", error)

    def test_a_console_is_read_by_a_pattern(self):
        a = self.log("a.log", "begin\nit 1 l=0.5000\n")
        b = self.log("b.log", "begin\nit 1 l=0.5001\n")
        pattern = ("--pattern", r"it (?<step>\d+) l=(?<loss>\S+)")
        self.assertEqual(self.samebits("compare", a, a, *pattern)[0], 0)
        self.assertEqual(self.samebits("compare", a, b, *pattern)[0], 1)
        self.assertEqual(self.samebits("compare", a, b)[0], 2)
        self.assertEqual(self.samebits("compare", a, b, "--pattern", "(")[0], 2)

    def case(self, arms, relation="bit_exact"):
        self.log("trainer.py", TRAINER)
        self.log("logs.json", json.dumps({"name": "logs", "steps": 3, "arms": arms,
                                          "relations": [{"arms": list(arms), "holds": relation}]}))
        return self.samebits("run", "logs.json", "--out", "run")

    def trainer(self, loss, **more):
        return {"command": [sys.executable, "trainer.py", str(loss), "{out}/metrics.csv"],
                "observations": "metrics.csv", **more}

    def test_a_program_that_writes_a_log_is_an_arm(self):
        code, out, error = self.case({"a": self.trainer(8, repeat=2), "b": self.trainer(8)})
        self.assertEqual(code, 0, out + error)
        self.assertIn("equal to the bit of float64 (loss)", out)
        report = (self.folder / "run" / "report.md").read_text()
        self.assertIn("a was read from metrics.csv (csv), which holds its values to the bit of float64 (loss)", report)
        self.assertTrue((self.folder / "run" / "a" / "repeat-1-rank-0.jsonl").exists())
        self.assertEqual(self.samebits("report", "run")[0], 0)
        self.assertIn("float64 (loss)", self.samebits("compare", "run/a", "run/b")[1])

    def test_logs_that_differ_fail_the_run(self):
        code, out, _ = self.case({"a": self.trainer(8), "b": self.trainer(8.000001)})
        self.assertEqual(code, 1)
        self.assertIn("step 0, log, loss", out)

    def test_what_a_program_prints_is_held_against_a_recorded_log(self):
        self.log("old.csv", "step,loss\n0,7.2\n1,6.4799999999999995\n2,5.832\n")
        printed = {**self.trainer(8), "observations": "-",
                   "log": {"pattern": r"step: (?<step>\d+) loss: (?<loss>\S+)"}}
        code, out, error = self.case({"old": {"recorded": "old.csv"}, "new": printed})
        self.assertEqual(code, 0, out + error)
        self.assertIn("equal to 4 decimals (loss)", out)
        self.assertNotIn("equal to the bit", out)

    def test_a_program_without_its_log_has_failed(self):
        code, _, error = self.case({"a": {**self.trainer(8), "observations": "other.csv"}, "b": self.trainer(8)})
        self.assertEqual(code, 3)
        self.assertIn("without other.csv in {out}", error)

    def test_a_program_that_prints_nothing_has_nothing_to_compare(self):
        code, _, error = self.case({"a": {"command": ["true"], "observations": "-", "log": {"format": "jsonl"}},
                                    "b": self.trainer(8)})
        self.assertEqual(code, 3)
        self.assertRegex(error, r"arm a: true ended and left .*output-0\.txt: found no value.*; it printed nothing")
        self.assertEqual(len(error.splitlines()), 1)

    def test_a_step_that_one_log_lacks_is_no_agreement(self):
        a = self.log("a.csv", "step,loss\n0,0.5\n1,0.25\n2,0.125\n")
        code, out, _ = self.samebits("compare", a, self.log("b.csv", "step,loss\n0,0.5\n2,0.125\n"))
        self.assertEqual(code, 1)
        self.assertIn("2 observations compared, 0 differ, 1 only in the first, 0 only in the second", out)
        self.assertIn("first: step 1, log, loss: seen by the first only", out)

    def test_nan_in_both_logs_is_no_agreement(self):
        a = self.log("a.jsonl", '{"step": 0, "loss": NaN}\n')
        code, out, _ = self.samebits("compare", a, self.log("b.jsonl", '{"step": 0, "loss": NaN}\n'))
        self.assertEqual(code, 1)
        self.assertIn("1 values are NaN or infinite in both, which is no agreement", out)
        self.assertEqual(self.samebits("compare", a, a, "--accept-nonfinite")[0], 0)

    def test_a_map_renames_and_refuses_two_sites_of_one_name(self):
        a = self.log("a.csv", "step,loss\n0,0.5372\n")
        b = self.log("b.csv", "step,global_loss,local_loss\n0,0.5372,0.25\n")
        one = self.log("one.json", json.dumps([{"from": "^global_", "to": ""}]))
        code, out, error = self.samebits("compare", a, b, "--map", one, "--only", "^(global_)?loss$")
        self.assertEqual((code, error), (0, ""), out)
        self.assertIn("to 4 decimals (loss)", out)
        both = self.log("both.json", json.dumps([{"from": "^(global|local)_", "to": ""}]))
        code, _, error = self.samebits("compare", a, b, "--map", both)
        self.assertEqual(code, 2)
        self.assertRegex(error, r'map: found "global_loss" and "local_loss" as "loss" in step 0')

    def test_keys_of_a_log_need_a_log(self):
        code, _, error = self.case({"a": {"command": ["true", "{out}"], "log": {"step": "it"}}, "b": self.trainer(8)})
        self.assertEqual(code, 2)
        self.assertIn("recorded or observations", error)


if __name__ == "__main__":
    unittest.main()
