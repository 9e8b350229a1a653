"""The binary from outside: exit codes, one-line errors, a flipped bit, a killed run, goldens on every
instruction set. Run by ctest: cli_test.py BINARY."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASE = "cases/grpo-tiny.json"
BINARY = None


def samebits(*arguments, environment=None):
    return subprocess.run(
        [BINARY, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, errors="replace",
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})})


def flip_one_bit(model, name, element):
    """Flips the lowest bit of one bfloat16 element of one weight."""
    file = model / "model.safetensors"
    data = bytearray(file.read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    begin = json.loads(data[8:8 + length])[name]["data_offsets"][0]
    data[8 + length + begin + 2 * element] ^= 1
    file.write_bytes(data)


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, *arguments, naming):
        result = samebits(*arguments)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for word in naming:
            self.assertIn(word, result.stderr)

    def model_copy(self):
        model = self.folder / "model"
        shutil.copytree(ROOT / "cases/models/tiny", model)
        return model

    def test_bad_input_is_one_line_and_exit_code_2(self):
        out = self.folder / "out"
        run = ("run", CASE, "--out", out)
        self.refused("run", "cases/nosuch.json", naming=["cases/nosuch.json"])
        self.refused("comparre", naming=['found "comparre", expected one of "run", "compare"', 'did you mean "compare"?'])
        certificates = self.folder / "certificates.json"
        certificates.write_text('{"format": 0, "certificates": []}')
        self.refused("--certificates", certificates, "doctor", naming=["certificates.json: format", "found 0"])
        self.refused(*run, "--set", "step=3", naming=["step", "steps"])
        self.refused(*run, "--set", "captured-tp2.mesh.tp=3", naming=["num_attention_heads", "3"])
        self.refused(*run, "--arm", "eagre", naming=["eagre", "eager"])
        self.refused(*run, "--set", "eager.generator=half_graph", naming=["half_graph", "full_graph"])
        self.refused(*run, "--set", "eager-tp2.generator=persistent", naming=["arm eager-tp2: generator", "mesh.tp 2"])
        package = 'eager.generator={"mode": "aot_inductor", "package": "%s"}'
        self.refused(*run, "--set", package % "nosuch.pt2", naming=["nosuch.pt2"])
        self.refused(*run, "--set", package % "README.md", naming=["README.md", "no package of AOTInductor", "aot-package"])
        self.refused(*run, "--set", "eager.generator=aot_inductor", naming=["eager.generator", "without a package"])
        self.refused(*run, "--set", "piecewise.buckets=[0]", naming=[CASE, "arms.piecewise.buckets.0", "0"])
        self.refused(*run, "--set", "buckets=[8,1]", naming=[CASE, "buckets.1", "1 after 8", "ascending"])
        self.refused(*run, "--set", "model=" + str(self.folder), naming=["json"])
        self.refused("report", self.folder, naming=[str(self.folder)])
        self.refused("bench", "nosuch", naming=["nosuch"])
        self.refused("bench", "linear", "--model", "cases/models/tiny", naming=["linear with --model", "generator"])
        self.refused("bench", "generator", "--model", "nosuch", naming=["nosuch"])
        self.refused("bench", "generator", "--model", "cases/models/tiny", "--tp", "3", naming=["num_attention_heads", "3"])
        self.assertEqual(samebits("frobnicate").returncode, 2)
        self.assertFalse(out.exists(), "bad input must not leave a run behind")

    def test_token_ids_outside_the_vocabulary_and_empty_prompts_are_refused(self):
        ids = self.folder / "ids.json"
        scoring = ("logprobs", "--model", "cases/models/tiny", "--ids", ids, "--out", self.folder / "o")
        for text, naming in (("[[1, 5000]]", ["0.1", "5000"]), ("[[]]", ["0: ", "at least 1"]), ("[[1,", ["line 1, column 5"]),
                             ("{}", ["list of lists"])):
            ids.write_text(text)
            self.refused(*scoring, naming=naming)
        self.refused("generate", "--model", "cases/models/tiny", "--prompt", "", naming=["empty"])

    def test_without_a_card_the_device_is_refused_in_one_line(self):
        if re.search(r"GPU +serves", samebits("doctor").stdout):
            self.skipTest("this machine has a card")
        out = self.folder / "out"
        self.refused("run", CASE, "--set", "device=cuda", "--out", out, naming=["arm eager", "device", "CUDA"])
        self.assertFalse(out.exists())
        self.refused("repro", "run", "--device", "cuda", naming=["--device", "CUDA"])
        self.refused("generate", "--model", "cases/models/tiny", "--prompt", "1", "--device", "cuda",
                     naming=["device", "CUDA"])

    def test_a_folder_in_use_is_not_written_over(self):
        out = self.folder / "out"
        out.mkdir()
        (out / "mine.txt").write_text("mine")
        self.refused("run", CASE, "--out", out, naming=[str(out)])
        self.assertEqual((out / "mine.txt").read_text(), "mine")

    def test_a_model_with_a_tensor_missing_is_refused(self):
        model = self.model_copy()
        file = model / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        self.refused("run", CASE, "--out", self.folder / "out", "--set", f"model={model}",
                     naming=["model.safetensors"])

    def test_one_flipped_bit_names_the_operator(self):
        model = self.model_copy()
        flip_one_bit(model, "model.layers.2.mlp.down_proj.weight", 5 * 384 + 100)
        out = self.folder / "out"
        arms = ("captured-tp2", "piecewise", "full-graph-tp2")
        chosen = [flag for arm in arms for flag in ("--arm", arm, "--set", f"{arm}.model={model}")]
        result = samebits("run", CASE, "--steps", "1", "--arm", "eager", *chosen, "--out", out)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        report = (out / "report.md").read_text()
        for arm in arms:
            self.assertRegex(report, "(?s)eager and " + arm + r" diverge.*?operator: .*layers\.2\.feed_forward\.w2#0")

    def test_check_finds_the_gather_that_is_narrowed_for_some_sizes_alone(self):
        arguments = ("check", CASE, "--arm", "captured-tp2", "--detector", "D8", "--detector", "boundary_change",
                     "--detector", "copies_apart")
        result = samebits(*arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("false_guard finds nothing", result.stdout)
        self.assertIn("copies_apart finds nothing", result.stdout)
        result = samebits(*arguments, "--set", "mesh.gathered_size=conditional")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"false_guard finds 5:\n    tokens=1: tokens % 2 == 0")
        self.assertIn("boundary_change finds nothing", result.stdout)
        result = samebits(*arguments, "--set", "mesh.gathered_size=consumer")  # right, and the guard is false all the same
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"false_guard finds 5:\n    tokens=1: tokens % 2 == 0")
        self.refused("check", CASE, "--detector", "D99", naming=["D99", "false_guard"])

    def test_check_finds_rows_that_depend_on_others(self):
        result = samebits("check", "cases/not-batch-invariant.json", "--detector", "D5")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        of_eager, of_libtorch = result.stdout.split("\nlibtorch: ")
        self.assertIn("row_dependence finds nothing", of_eager)
        self.assertRegex(of_libtorch, r"row_dependence finds \d+:\n    row \d+ of \d+ is not row")

    def recording(self, name, values, sources, finishes=True):
        """The folder that a recorder of another program leaves: uint8 scalars by site, in their order."""
        names = {}
        page = (ROOT / "docs/stream.md").read_text(encoding="utf-8")
        exec(re.search(r"```python\n(.*?)```", page, re.S).group(1), names)
        lines = ""
        for site, value in values.items():
            line = {"step": 0, "phase": "forward", "rank": 0, "site": site, "dtype": "uint8", "shape": []}
            line |= {"digest": names["digest"]("uint8", (), bytes([value])), "bits": f"{value:02x}", "value": value}
            lines += json.dumps(line, separators=(",", ":")) + "\n"
        about = {"format": 1, "recorder": "r 1", "level": "op", "part": "0/1", "command": ["a.py"], "environment": {}}
        files = {"rank-0.jsonl": lines, "steps.jsonl": ""}
        digests = {file: names["digest"]("uint8", (len(text),), text.encode()) for file, text in files.items()}
        if finishes:
            files["finished.json"] = json.dumps({"arm": "recorded", "observations": [len(values)], "files": digests})
        files["recorder.json"] = json.dumps(about)
        files["sites-0.json"] = json.dumps({"sources": sources, "unobserved": {}})
        for file, text in files.items():
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / file).write_text(text)
        return self.folder / name

    def test_recordings_of_other_programs_are_compared(self):
        a = self.recording("a", {"m/mask[0]#0": 1, "m/mm[0]#0": 2, "m#0": 3}, {"m/mask[0]#0": "m.py:7 in mask"})
        b = self.recording("b", {"m/mm[0]#0": 2, "m#0": 4}, {"m#0": "m.py:9 in forward"})
        self.assertEqual(samebits("compare", a, a).returncode, 0)
        result = samebits("compare", a, b)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout.splitlines()[1:], [
            "first: step 0, forward, m/mask[0]#0: seen by the first only",
            "  in the program: m.py:7 in mask",
            "first value that differs: step 0, forward, m#0: 3 against 4",
            "  in the program: m.py:9 in forward",
            "FAILS",
        ])
        cut = samebits("compare", a, self.recording("cut", {"m/mask[0]#0": 1}, {}, finishes=False))
        self.assertEqual(cut.returncode, 1)
        self.assertIn("was cut off", cut.stdout)
        (b / "rank-0.jsonl").write_text("")
        self.refused("compare", a, b, naming=["rank-0.jsonl is not the file"])

    def test_equal_arms_exit_0_and_compare_agrees(self):
        out = self.folder / "out"
        result = samebits("run", CASE, "--steps", "1", "--out", out)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(samebits("compare", out / "eager", out / "captured-tp2").returncode, 0)
        self.assertEqual(samebits("compare", out / "eager", out / "fused").returncode, 1)
        for form in ("console", "md", "json", "junit", "html", "trace"):
            self.assertEqual(samebits("report", out, "--format", form).returncode, 0)
        self.refused("report", out, "--format", "tensorboard", naming=["--out"])
        self.refused("report", out, "--format", "html", "--out", out / "page.html", naming=["reads"])
        page, curves = self.folder / "page.html", self.folder / "curves"
        self.assertEqual(samebits("report", out, "--format", "html", "--out", page).returncode, 0)
        self.assertEqual(page.read_text(), (out / "report.html").read_text())
        self.assertEqual(samebits("report", out, "--format", "tensorboard", "--out", curves).returncode, 0)
        self.assertEqual(samebits("compare", curves / "eager/events.out.tfevents.0.samebits",
                                  curves / "captured-tp2/events.out.tfevents.0.samebits").returncode, 0)
        self.assertEqual(samebits("compare", curves / "eager/events.out.tfevents.0.samebits",
                                  curves / "fused/events.out.tfevents.0.samebits").returncode, 1)
        # A control is compared as what it is.
        self.assertEqual(samebits("compare", out / "eager", out / "fused", "--relation", "must_diverge").returncode, 0)
        self.assertEqual(samebits("compare", out / "eager", out / "piecewise", "--relation", "must_diverge").returncode, 1)
        # What was recorded and changed since is no evidence, whoever asks.
        (out / "eager" / "steps.jsonl").write_text("")
        self.assertEqual(samebits("report", out).returncode, 1)
        self.refused("compare", out / "eager", out / "captured-tp2", naming=["steps.jsonl"])

    def test_a_run_says_what_it_was_asked_for_in_junit_and_replaces_what_it_may(self):
        out, junit = self.folder / "out", self.folder / "verdicts.xml"
        small = ("run", CASE, "--steps", "1", "--arm", "eager", "--out", out)
        result = samebits(*small, "--junit", junit)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn('name="golden eager"', junit.read_text())
        self.refused(*small, naming=["--resume", "--force"])
        self.assertEqual(samebits(*small, "--force").returncode, 0)
        self.refused(*small, "--force", "--resume", naming=["--resume"])
        self.refused(*small, "--force", "--golden", self.folder / "nosuch", naming=["nosuch"])
        # Other settings: no golden is compared any more, which is said, is no pass, and fails where one was demanded.
        other = (*small, "--force", "--set", "seed=7", "--junit", junit)
        result = samebits(*other)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("0 of 1 arms equal their goldens (eager was not compared", " ".join(result.stdout.split()))
        self.assertEqual(junit.read_text().count("<skipped"), 1)
        # Nothing at all to compare: an arm that does not train, alone.
        result = samebits(*other, "--set", "workload.name=decode")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("Recorded. Nothing was compared", result.stdout)
        self.assertNotIn("equal", result.stdout)
        self.assertEqual(junit.read_text().count("<skipped"), 2)
        self.assertEqual(samebits(*other, "--set", "golden=required").returncode, 1)
        self.assertRegex(samebits("--version").stdout, r"^samebits \d")

    def test_the_last_screen_of_a_failure_says_who_where_and_what_next(self):
        result = samebits("run", CASE, "--steps", "1", "--arm", "eager", "--arm", "piecewise", "--set",
                          "piecewise.numerics.fused_rounding=true", "--out", self.folder / "out")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        last = result.stdout[result.stdout.index("grpo-tiny\nFAILED"):]
        for line in ("eager and piecewise diverge", "  where     step 0, rollout, ", "  values    ", "  operator  step 0, rollout, ",
                     "  cause     ", "  settings  ", "  next      samebits report "):
            self.assertIn(line, last)
        self.assertLess(len(last.splitlines()), 45)

    def test_nan_on_both_sides_is_no_agreement(self):
        model = self.model_copy()
        with (model / "model.safetensors").open("r+b") as file:
            file.seek(-2, os.SEEK_END)
            file.write(b"\xc0\x7f")  # a bfloat16 NaN in the last weight
        out = self.folder / "out"
        result = samebits("run", CASE, "--steps", "1", "--arm", "eager", "--set", f"model={model}", "--out", out)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        result = samebits("compare", out / "eager", out / "eager")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn(" 0 differ", result.stdout)
        self.assertIn("NaN or infinite in both, which is no agreement; first: step 0, rollout, ", result.stdout)
        self.assertEqual(samebits("compare", out / "eager", out / "eager", "--accept-nonfinite").returncode, 0)
        result = samebits("check", CASE, "--arm", "eager", "--detector", "D5", "--set", f"model={model}")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("its outputs have NaN or infinite elements", result.stdout)
        self.assertIn("row_dependence finds nothing", result.stdout)

    def test_a_step_that_takes_too_long_ends_the_run(self):
        result = samebits("run", CASE, "--steps", "1", "--arm", "eager", "--set", "timeout_s=0.3", "--set",
                          "workload.group=64", "--set", "workload.max_new_tokens=40", "--out", self.folder / "out")
        self.assertEqual(result.returncode, 3, result.stdout + result.stderr)
        self.assertRegex(result.stderr, r"^samebits: arm eager.*: still running after timeout_s, 0\.3 s")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_threads_wait_without_spinning_unless_told_otherwise(self):
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
        for told, expected in (({}, b"OMP_WAIT_POLICY=passive"), ({"OMP_WAIT_POLICY": "active"}, b"OMP_WAIT_POLICY=active")):
            process = subprocess.Popen([BINARY, "run", CASE, "--out", str(self.folder / "out")], cwd=ROOT,
                                       stdout=subprocess.DEVNULL, env={**plain, **told, "OMP_NUM_THREADS": "1"})
            while process.poll() is None and not (self.folder / "out/eager").exists():
                time.sleep(0.01)  # a run that has begun has been started for the last time
            environment = pathlib.Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            process.kill()
            process.wait()
            shutil.rmtree(self.folder / "out")
            self.assertIn(expected, environment)

    def test_a_killed_run_is_read_and_resumes_to_the_same_bits(self):
        arguments = ("run", CASE, "--steps", "2", "--arm", "eager", "--arm", "captured-tp2")
        whole = self.folder / "whole"
        self.assertEqual(samebits(*arguments, "--out", whole).returncode, 0)
        chance = random.Random(7)
        for attempt in range(4):
            out = self.folder / f"cut-{attempt}"
            process = subprocess.Popen([BINARY, *arguments, "--out", str(out)], cwd=ROOT,
                                       stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
            stream = out / "eager" / "rank-0.jsonl"
            while process.poll() is None and not stream.exists():
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 1.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if stream.stat().st_size > 0:
                # What had been recorded is a prefix: it differs by what is missing, and by nothing else.
                cut = samebits("compare", out / "eager", whole / "eager")
                self.assertIn(cut.returncode, (0, 1), cut.stderr)
                self.assertIn(" 0 differ", cut.stdout)
            if not (out / "manifest.json").exists():
                resumed = samebits(*arguments, "--out", out, "--resume")
                self.assertEqual(resumed.returncode, 0, resumed.stdout + resumed.stderr)
            for arm in ("eager", "captured-tp2"):
                self.assertEqual((out / arm / "rank-0.jsonl").read_bytes(),
                                 (whole / arm / "rank-0.jsonl").read_bytes())

    def test_every_instruction_set_gives_the_golden(self):
        for isa in ("portable", "avx2", "avx512"):
            out = self.folder / isa
            result = samebits("run", CASE, "--steps", "1", "--arm", "eager", "--out", out,
                              environment={"SAMEBITS_CPU": isa})
            if "this processor supports" in result.stderr:
                continue  # not on this processor
            self.assertEqual(result.returncode, 0, isa + result.stdout + result.stderr)
            manifest = json.loads((out / "manifest.json").read_text())
            self.assertEqual(manifest["golden"][0]["status"], "equal", isa)

    def test_a_golden_that_was_edited_is_refused(self):
        golden = self.folder / "golden"
        shutil.copytree(ROOT / "golden", golden)
        stream = golden / "grpo-tiny" / "eager.jsonl"
        lines = stream.read_text().splitlines(keepends=True)
        first = json.loads(lines[0])
        digest = first["digest"]
        lines[0] = lines[0].replace(digest, ("0" if digest[0] != "0" else "1") + digest[1:])
        stream.write_text("".join(lines))
        result = samebits("run", CASE, "--steps", "1", "--arm", "eager", "--golden", golden,
                          "--out", self.folder / "out")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertIn("stream_digest", result.stderr)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
