"""Arms that are other programs, by the command line.

programs_test.py [TEST...] SAMEBITS"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from waiting import wait_for

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv.pop()).resolve()
SMALL = HERE / "programs" / "small_program.py"


def processes_with(variable):
    """Those whose environment has it."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class Programs(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.out = self.folder / "run"

    def command(self, *flags):
        return [sys.executable, str(SMALL), "{out}", "--steps", "{steps}", "--seed", "{seed}", *map(str, flags)]

    def case(self, arms, holds="bit_exact", **more):
        names = list(arms)
        relations = [{"arms": names, "holds": holds}] if len(names) > 1 else []
        file = self.folder / "programs.json"
        file.write_text(json.dumps({"name": "programs", "seed": 7, "steps": 3, "arms": arms, "relations": relations,
                                    **more}))
        return file

    def start(self, *arguments):
        return subprocess.Popen([str(PROGRAM), *map(str, arguments)], cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_case(self, arms, *flags, **more):
        process = self.start("run", self.case(arms, **more), "--out", self.out, *flags)
        out, error = process.communicate(timeout=120)
        return process.returncode, out, error

    def test_two_programs_that_agree_hold(self):
        code, out, error = self.run_case({"a": {"command": self.command(), "repeat": 2},
                                          "b": {"command": self.command()}})
        self.assertEqual(code, 0, out + error)
        self.assertIn("a and b are equal to the bit", out)
        report = (self.out / "report.md").read_text()
        self.assertIn("another program, 2 runs", report)
        self.assertIn("b ran once", report)
        self.assertTrue((self.out / "a" / "repeat-1-rank-0.jsonl").exists())
        self.assertEqual((self.out / "a" / "output-0.txt").read_text(), "a program begins\n")
        self.assertFalse((self.out / "a" / "program").exists())
        again = subprocess.run([PROGRAM, "report", self.out], capture_output=True, text=True)
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)

    def test_what_differs_is_named(self):
        code, out, _ = self.run_case({"a": {"command": self.command()},
                                      "b": {"command": self.command("--scale", 1.25)}})
        self.assertEqual(code, 1)
        self.assertIn("step 0, train, loss", out)
        self.assertIn("8 against 10", out)

    def test_a_closer_look_asks_for_operators(self):
        told = ("--level", "{level}")
        code, out, _ = self.run_case({"a": {"command": self.command(*told)},
                                      "b": {"command": self.command(*told, "--scale", 1.25)}})
        self.assertEqual(code, 1)
        self.assertIn("step 0, train, layer#0", out)

    def test_a_closer_look_measures_tensors_that_are_kept(self):
        told = ("--level", "{level}", "--pair")
        kept = (*told, "--keep", "{keep}")
        for more, expected in [((), "1 of 2 differ"), (("--then", "lie"), "a does not keep that value")]:
            self.out = self.folder / f"run-{len(more)}"
            code, out, error = self.run_case({"a": {"command": self.command(*kept, *more)},
                                              "b": {"command": self.command(*kept, "--scale", 1.25)}})
            self.assertEqual(code, 1, out + error)
            self.assertIn("step 0, train, layer#0", out)
            self.assertIn(expected, " ".join(out.split()))
            self.assertEqual((self.out / "op-a+b" / "difference.safetensors").exists(), not more)
            self.assertFalse((self.out / "op-a+b" / "a" / "program").exists())
        self.out = self.folder / "run-untold"
        code, out, _ = self.run_case({"a": {"command": self.command(*told)},
                                      "b": {"command": self.command(*told, "--scale", 1.25)}})
        self.assertIn("(is it told {keep}?)", " ".join(out.split()))

    def test_bounds_judge_tensors_that_are_kept(self):
        told = ("--level", "op", "--pair", "--keep", "{keep}")
        arms = {"a": {"command": self.command(*told), "repeat": 2},
                "b": {"command": self.command(*told, "--scale", 1.25)}}
        bound = {"arms": ["a", "b"], "holds": "allclose", "rtol": 0, "reason": "another scale"}

        def judged(atol, keep):
            code, out, error = self.run_case(arms, "--force", relations=[{**bound, "atol": atol}], **keep)
            return code, " ".join((out + error).split())

        keep = {"keep": {"sites": "layer"}}
        code, text = judged(3, keep)  # 8, 9, 10 against 10, 11.25, 12.5
        self.assertEqual(code, 0, text)
        self.assertTrue((self.out / "b" / "kept-0.safetensors").exists())
        compared = subprocess.run([PROGRAM, "compare", self.out / "a", self.out / "b", "--relation", "allclose:0,3"],
                                  capture_output=True, text=True)
        self.assertEqual(compared.returncode, 0, compared.stdout + compared.stderr)
        code, text = judged(2, keep)
        self.assertEqual(code, 1, text)
        self.assertIn("step 1, train, layer#0", text)
        self.assertIn("1 of 2 differ, first [1]: 9 against 11.25", text)
        code, text = judged(3, {})
        self.assertEqual(code, 1, text)
        code, text = judged(3, {"keep": {"sites": "lawyer"}})
        self.assertEqual(code, 3, text)
        self.assertIn('arm a: keep, at level step: its program kept no tensor at a site that matches "lawyer"', text)
        code, text = judged(3, {"keep": {"sites": "layer", "bytes": 23}})
        self.assertEqual(code, 3, text)
        self.assertIn("its program kept 24 bytes, more than keep.bytes, 23", text)

    def test_a_recorded_arm_has_the_tensors_that_it_kept(self):
        for name, flags in [("a", ()), ("b", ("--scale", "1.25"))]:
            subprocess.run([sys.executable, SMALL, self.folder / name, "--level", "op", "--pair", "--keep", "/layer/",
                            *flags], check=True, stdout=subprocess.DEVNULL)
        arms = {name: {"recorded": str(self.folder / name)} for name in ("a", "b")}
        bound = {"arms": ["a", "b"], "holds": "allclose", "rtol": 0.26, "atol": 0, "reason": "another scale"}
        code, out, error = self.run_case(arms, relations=[bound])
        self.assertEqual(code, 0, out + error)
        (self.out / "b" / "kept-0.safetensors").unlink()
        again = subprocess.run([PROGRAM, "report", self.out], capture_output=True, text=True)
        self.assertEqual(again.returncode, 1, again.stdout + again.stderr)

    def test_a_kept_tensor_that_was_not_observed_is_refused(self):
        told = ("--level", "op", "--pair", "--keep", "{keep}")
        code, out, error = self.run_case({"a": {"command": self.command(*told, "--then", "lie")}},
                                         keep={"sites": "layer"})
        self.assertEqual(code, 3, out + error)
        self.assertIn("is not what was observed", error)

    def test_a_kept_tensor_is_looked_for_by_the_name_that_its_program_has(self):
        told = ("--level", "{level}", "--pair", "--keep", "{keep}")
        arms = {"a": {"command": self.command(*told)},
                "b": {"command": self.command(*told, "--layer", "model.layer", "--scale", 1.25)}}
        relations = [{"arms": ["a", "b"], "holds": "bit_exact", "map": [{"from": "^model\\.", "to": ""}]}]
        code, out, error = self.run_case(arms, relations=relations)
        self.assertEqual(code, 1, out + error)
        self.assertIn("step 0, train, layer#0", out)
        self.assertIn("1 of 2 differ", " ".join(out.split()))

    def test_a_closer_look_at_programs_of_their_own_length(self):
        free = [sys.executable, str(SMALL), "{out}", "--level", "{level}"]
        code, out, _ = self.run_case({"a": {"command": free}, "b": {"command": [*free, "--scale", "1.25"]}})
        self.assertEqual(code, 1)
        self.assertNotIn("parts from itself", out)

    def test_a_program_that_parts_from_itself_is_said_to(self):
        drift = self.command("--then", "drift", "--marks", self.folder / "marks")
        code, out, _ = self.run_case({"a": {"command": drift, "repeat": 3}})
        self.assertEqual(code, 1)
        self.assertIn("a parts from itself", out)
        self.assertIn("runs 1 and 2 differ at step 1, train, loss", out)
        alone = subprocess.run([PROGRAM, "compare", self.out / "a", self.out / "a"], capture_output=True, text=True)
        self.assertEqual(alone.returncode, 1, alone.stdout)
        self.assertIn("parts from itself: runs 1 and 2 differ at step 1, train, loss", alone.stdout)

    def test_fewer_steps_than_it_was_told_are_no_evidence(self):
        short = [sys.executable, str(SMALL), "{out}", "--steps", "2", "--scale", "1", "--level", "x{steps}"]
        code, out, _ = self.run_case({"a": {"command": short}})
        self.assertEqual(code, 1)
        self.assertIn("it observed 2 steps, not the 3 that it was told", out)

    def test_a_recording_is_an_arm(self):
        self.assertEqual(self.run_case({"a": {"command": self.command()}})[0], 0)
        recorded = self.out / "a"
        self.out = self.folder / "second"
        code, out, error = self.run_case({"old": {"recorded": str(recorded)}, "new": {"command": self.command()}})
        self.assertEqual(code, 0, out + error)
        self.assertIn("old and new are equal to the bit", out)
        self.out = self.folder / "third"
        code, out, _ = self.run_case({"old": {"recorded": str(recorded)},
                                      "new": {"command": self.command("--scale", 2)}})
        self.assertEqual(code, 1, out)

    def compared(self, *flags):
        done = subprocess.run([PROGRAM, "compare", "a", "b", *flags], cwd=self.folder, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def record(self, *flags):
        subprocess.run([sys.executable, SMALL, *flags], cwd=self.folder, check=True, capture_output=True)

    def test_what_compare_did_not_compare_is_said(self):
        self.record("a", "--level", "op")
        self.record("b")
        for name, level in (("a", "op"), ("b", "step")):
            about = {"format": 1, "recorder": "r", "level": level, "part": "0/1", "command": [], "environment": {}}
            (self.folder / name / "recorder.json").write_text(json.dumps(about))
        code, out, _ = self.compared()
        self.assertEqual(code, 1)
        self.assertIn("a was recorded at level op, b at level step: what one alone has may be due to that", out)
        shutil.rmtree(self.folder / "b")
        self.record("b", "--level", "op")
        self.assertNotIn("level", self.compared()[1])
        (self.folder / "a" / "recorder.json").unlink()
        stream = (self.folder / "a" / "rank-0.jsonl").read_text()
        (self.folder / "a" / "rank-1.jsonl").write_text(stream.replace('"rank":0', '"rank":1'))
        code, out, _ = self.compared()
        self.assertEqual(code, 0, out)
        self.assertIn("a has 2 ranks and b has 1: 6 observations of the last ranks of a were not compared; but for", out)
        (self.folder / "a" / "rank-1.jsonl").write_text(stream.replace('"rank":0', '"rank":1').splitlines()[1] + "\n")
        code, out, _ = self.compared()
        self.assertEqual(code, 1, out)
        self.assertIn("1 observations of the last ranks of a were not compared\n", out)

    def test_a_broken_list_of_sources_leaves_the_verdict(self):
        self.record("a")
        self.record("b", "--scale", "2")
        (self.folder / "b" / "sites-0.json").write_text("{")
        code, out, error = self.compared()
        self.assertEqual((code, error), (1, ""))
        self.assertIn("in the program: not known, b/sites-0.json: line 1", out)
        self.assertTrue(out.endswith("FAILS\n"), out)

    def test_there_is_no_golden_of_other_programs(self):
        self.run_case({"a": {"command": self.command()}})
        done = subprocess.run([PROGRAM, "bless", self.out, "--golden", self.folder / "golden"], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertRegex(done.stderr, r"^samebits: case programs: found no arm .*, expected .*\n$")

    def test_what_breaks_is_told_with_its_last_lines(self):
        for then, expected in [("fail", r"exited with code 1; .*output-0\.txt: .*loading the data / FileNotFound"),
                               ("die", r"was ended by signal 9 \(SIGKILL\)"),
                               ("nothing", r"ended without a stream in \{out\}"),
                               ("garbage", r"^samebits: arm a: .* ended and left what cannot be read: .*rank-0\.jsonl: "
                                           r"line 1.* expected .*; the end of .*: a program begins"),
                               ("folder", r"arm a: .* ended and left rank-0\.jsonl, which is no regular file; the end"),
                               ("pipe", r"arm a: .* ended and left rank-0\.jsonl, which is no regular file; the end"),
                               ("empty", r"ended and observed nothing; the end of"),
                               ("torn", r"ended in the last line of its stream, which has no newline")]:
            with self.subTest(then):
                self.out = self.folder / then
                code, _, error = self.run_case({"a": {"command": self.command("--then", then)}})
                self.assertEqual(code, 3, error)
                self.assertRegex(error, expected)
                self.assertEqual(len(error.splitlines()), 1)
                self.assertNotIn("\x1b", error)

    def test_a_folder_that_a_program_links_to_stays_what_it_is(self):
        self.run_case({"a": {"command": self.command()}})
        kept = self.folder / "kept"
        kept.mkdir()
        shutil.copy(self.out / "a" / "rank-0.jsonl", kept)
        (kept / "sites-0.json").write_text('{"sources":{},"unobserved":{}}')
        before = sorted(kept.iterdir())
        self.out = self.folder / "linked"
        code, _, error = self.run_case({"a": {"command": ["ln", "-s", str(kept), "{out}"]}})
        self.assertEqual(code, 3, error)
        self.assertIn("made {out} a link to another folder", error)
        self.assertEqual(sorted(kept.iterdir()), before)

    def test_a_late_program_is_ended_with_what_it_started(self):
        arm = {"command": self.command("--then", "hang"), "timeout_s": 1.5, "env": {"MARK": "{out}"}}
        began = time.monotonic()
        code, _, error = self.run_case({"a": arm})
        self.assertEqual(code, 3)
        self.assertIn("was still running after timeout_s", error)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(processes_with(f"MARK={self.out / 'a' / 'program'}"), [])

    def test_a_daemon_ends_with_its_program(self):
        code, _, error = self.run_case({"a": {"command": self.command("--then", "daemon")}})
        self.assertEqual(code, 0, error)
        self.assertEqual(processes_with(f"LEFT={self.out / 'a' / 'program'}"), [])

    def test_what_would_write_after_the_end_is_ended(self):
        code, out, error = self.run_case({"a": {"command": self.command("--then", "late"), "repeat": 2},
                                          "b": {"command": self.command()}})
        self.assertEqual(code, 0, out + error)
        self.assertIn("a and b are equal to the bit", out)

    def test_nothing_outlives_a_killed_run(self):
        arm = {"command": self.command("--then", "hang"), "env": {"MARK": "{out}"}}
        run = self.start("run", self.case({"a": arm}), "--out", self.out)
        mark = f"MARK={self.out / 'a' / 'program'}"
        stream = self.out / "a" / "program" / "rank-0.jsonl"
        wait_for(lambda: stream.exists() and len(stream.read_text().splitlines()) == 3)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        wait_for(lambda: not processes_with(mark))

    def test_a_run_that_was_killed_is_taken_up(self):
        arms = {"a": {"command": self.command()}, "b": {"command": self.command("--then", "hang")}}
        case = self.case(arms)
        run = self.start("run", case, "--out", self.out)
        wait_for(lambda: (self.out / "b" / "program").exists())
        run.send_signal(signal.SIGKILL)
        run.communicate()
        self.assertTrue((self.out / "a" / "finished.json").exists())
        other = self.case({**arms, "b": {"command": self.command()}})
        refused = self.start("run", other, "--out", self.out, "--resume")
        _, error = refused.communicate()
        self.assertEqual(refused.returncode, 2)
        self.assertIn("a run of another case", error)
        code, out, error = self.run_case({"a": {"command": self.command()}, "b": {"command": self.command()}}, "--force")
        self.assertEqual(code, 0, out + error)

    def test_bad_arms_are_refused_in_one_line(self):
        good = self.command()
        for arm, expected in [
                ({"command": ["nosuch-program", "{out}"]}, r"arm a: command: found \"nosuch-program\", expected a program"),
                ({"command": good, "cwd": "nowhere"}, r"arm a: cwd: found \".*nowhere\", expected a folder"),
                ({"command": ["true"]}, r"arms\.a\.command: found .*, expected \{out\}"),
                ({"command": []}, r"arms\.a\.command"),
                ({"command": good, "mesh": {"tp": 2}}, r"arms\.a: found mesh in an arm that is another program"),
                ({"command": good, "recorded": "x"}, r"found command beside recorded"),
                ({"command": good, "env": {"A=B": "x"}}, r"a variable named \"A=B\""),
                ({"command": [*good, "\0"]}, r"without a NUL"),
                ({"recorded": "nowhere"}, r"nowhere: found no such file"),
                ({}, r"model")]:
            with self.subTest(str(arm)):
                code, _, error = self.run_case({"a": arm})
                self.assertEqual(code, 2, error)
                self.assertRegex(error, expected)
                self.assertEqual(len(error.splitlines()), 1)
                self.assertFalse(self.out.exists())

    def test_an_edited_output_or_repeat_is_seen(self):
        arms = {"a": {"command": self.command(), "repeat": 2}, "b": {"command": self.command()}}
        self.assertEqual(self.run_case(arms)[0], 0)
        repeat = self.out / "a" / "repeat-1-rank-0.jsonl"
        repeat.write_text(repeat.read_text().replace('"step":2', '"step":3'))
        again = subprocess.run([PROGRAM, "report", self.out], capture_output=True, text=True)
        self.assertEqual(again.returncode, 1)
        self.assertIn("repeat-1-rank-0.jsonl is not the file that the run wrote", again.stdout)

    def reduced(self, arms, **more):
        """What reducing a run of two arms prints, and the folder that it leaves."""
        shutil.rmtree(self.out, ignore_errors=True)
        code, out, error = self.run_case(arms, **more)
        self.assertEqual(code, 1, out + error)
        least = self.folder / "least"
        shutil.rmtree(least, ignore_errors=True)
        process = self.start("reduce", self.out, "--out", least)
        out, error = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, out + error)
        return out, least

    def recorded(self, site, *flags):
        """A command that starts the recorder, which is asked for one operator."""
        program = [str(SMALL), "--steps", "{steps}", "--layer", site, *map(str, flags)]
        return [sys.executable, "-m", "samebits_record", "--out", "{out}", "--level", "{level}", "--", *program]

    def test_a_reduction_ends_with_the_script_of_one_operator(self):
        env = {"PYTHONPATH": str(SMALL.parent)}
        operator = "mlp/aten.mul.Tensor[0]"
        arms = {"a": {"command": self.recorded(operator), "env": env},
                "b": {"command": self.recorded(operator, "--scale", 1.25), "env": env}}
        out, least = self.reduced(arms)
        self.assertRegex(out, r"  alone +a: .*aten\.mul\.Tensor\[0\] alone, for stock torch\n")
        self.assertEqual((least / "upstream.py").read_text(), f"# 0 0 train {operator}#0\n")
        self.assertTrue((least / "inputs.safetensors").exists())
        self.assertFalse((least / "alone").exists())
        for page in ("README.md", "issue.md"):
            self.assertIn("`python3 upstream.py` shows it in stock torch", (least / page).read_text())
        for arm in arms.values():
            arm["command"].append("--whole")
        out, least = self.reduced(arms)
        none = "no operator alone differs: what the compiler fuses does"
        self.assertRegex(out, f"  alone +a: .*{none}; b: .*{none}\n")
        self.assertFalse((least / "upstream.py").exists())
        for arm in arms.values():
            arm["command"] = [word if word != operator else "mlp" for word in arm["command"]]
        self.assertIn("not looked for: mlp#0 is no output of an operator", self.reduced(arms)[0])
        told = ("--level", "{level}", "--layer", operator)
        out, _ = self.reduced({"a": {"command": self.command(*told)},
                               "b": {"command": self.command(*told, "--scale", 1.25)}})
        self.assertIn(f'--alone "0 0 train {operator}#0" -- PROGRAM looks for the operator', out)

    def test_a_reduction_beside_an_arm_of_samebits_makes_steps_fewer_and_nothing_else(self):
        model = HERE.parents[1] / "cases/models/tiny"
        tokens = str(model.parents[1] / "tokens/counting.json")
        own = {"workload": {"name": "train", "tokens": tokens, "sequences": 2}}
        out, least = self.reduced({"own": own, "other": {"command": self.command()}}, model=str(model))
        self.assertRegex(out, r"steps +1 \(was 3\)")
        case = json.loads((least / "case.json").read_text())
        self.assertEqual(case["steps"], 1)
        self.assertEqual(case["arms"]["own"]["workload"]["sequences"], 2)
        self.assertRegex(out, "tried +0 candidates")

    def test_check_looks_at_no_other_program(self):
        checked = subprocess.run([PROGRAM, "check", self.case({"a": {"command": self.command()}})],
                                 capture_output=True, text=True)
        self.assertEqual(checked.returncode, 2)
        self.assertIn("another program", checked.stderr)


if __name__ == "__main__":
    unittest.main()
