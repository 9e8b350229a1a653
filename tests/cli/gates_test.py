"""The binary from outside, where the outside is hostile: nothing gets to a terminal, into a report or
to another file than it was given. Run by ctest: gates_test.py BINARY."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASE = "cases/grpo-tiny.json"
MODEL = ROOT / "cases/models/tiny"
SMALL = ("--steps", "1", "--set", "workload.group=2", "--set", "workload.max_new_tokens=4")
BINARY = None
ESC = "\x1b[31m"


def through_shell(script, *arguments):
    """Runs the binary as a script of bash does that has its command line as "$@"."""
    return subprocess.run(["bash", "-c", script, "bash", BINARY, *map(str, arguments)], cwd=ROOT, capture_output=True,
                          text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"})


def samebits(*arguments, environment=None, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 240, **options}
    return subprocess.run([BINARY, *map(str, arguments)], cwd=ROOT, text=True, errors="replace",
                          env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}, **options)


class GatesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        cls.run_folder = cls.shared / "run"
        result = samebits("run", CASE, *SMALL, "--arm", "eager", "--arm", "captured-tp2", "--arm", "fused",
                          "--out", cls.run_folder)
        assert result.returncode == 0, result.stdout + result.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared, ignore_errors=True)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, *arguments, naming=(), **options):
        result = samebits(*arguments, **options)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertLess(len(result.stderr), 1200)
        self.assertNotIn("\x1b", result.stdout + result.stderr)
        for word in naming:
            self.assertIn(word, result.stderr)

    def model_copy(self):
        model = self.folder / "model"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(MODEL, model)
        return model

    def run_copy(self):
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.run_folder, run)
        return run

    def ids(self, text="[[1, 2]]"):
        file = self.folder / "ids.json"
        file.write_text(text)
        return file

    def kinds(self):
        """One path of every kind that is no regular file."""
        made = self.folder / "kinds"
        made.mkdir(exist_ok=True)
        (made / "mine.txt").write_text("mine")
        paths = {"a folder": made / "folder", "a pipe": made / "pipe", "a link": made / "link", "a socket": made / "socket"}
        with contextlib.suppress(FileExistsError):
            paths["a folder"].mkdir()
            os.mkfifo(paths["a pipe"])
            paths["a link"].symlink_to(made / "mine.txt")
            with socket.socket(socket.AF_UNIX) as unix:
                unix.bind(str(paths["a socket"]))
        # A device of the test's own: were one of the machine's given, a broken check would take it away.
        device = made / "null"
        with contextlib.suppress(FileExistsError, PermissionError):
            os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        return {**paths, "a device": device} if device.exists() else paths

    # ---- Outputs and inputs --------------------------------------------------------------------------
    def test_nothing_but_a_regular_file_is_written_over(self):
        for kind, path in self.kinds().items():
            before = os.lstat(path)
            self.refused("logprobs", "--model", MODEL, "--ids", self.ids(), "--out", path, naming=[kind])
            self.refused("bench", "linear/512", "--out", path, naming=[kind])
            self.assertEqual(stat.S_IFMT(os.lstat(path).st_mode), stat.S_IFMT(before.st_mode), kind)
        self.assertEqual((self.folder / "kinds/mine.txt").read_text(), "mine")

    def test_bench_empties_nothing(self):
        file = self.folder / "figures.json"
        file.write_text("mine")
        self.refused("bench", "nosuch", "--out", file, naming=["nosuch"])
        self.assertEqual(file.read_text(), "mine")
        self.assertEqual(os.listdir(self.folder), ["figures.json"])

    def test_bench_keeps_its_figures(self):
        file = self.folder / "figures.json"
        result = samebits("bench", "pool", "--out", file)
        self.assertEqual(result.returncode, 0, result.stderr)
        figures = json.loads(file.read_text())
        self.assertTrue(figures["benchmarks"])
        self.assertIn("LibTorch", figures["context"])
        self.assertIn(figures["benchmarks"][0]["name"], result.stdout)

    def test_inputs_that_are_no_files_are_refused_without_a_wait(self):
        for kind, path in self.kinds().items():
            if kind == "a link":
                continue  # caches of downloads are links
            self.refused("run", path, naming=[])
            self.refused("logprobs", "--model", MODEL, "--ids", path, "--out", self.folder / "o", naming=[])
            self.refused("--certificates", path, "doctor", naming=[])
            self.refused("run", CASE, "--arm", "captured-tp2", "--set", f"captured-tp2.graph={path}", "--out",
                         self.folder / "o", naming=[])
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                model = self.model_copy()
                (model / name).unlink()
                if kind == "a pipe":
                    os.mkfifo(model / name)
                elif kind == "a folder":
                    (model / name).mkdir()
                else:
                    (model / name).symlink_to(path)
                self.refused("generate", "--model", model, "--prompt", "a", naming=[name])
        model = self.model_copy()
        (model / "config.json").rename(model / "blob")
        (model / "config.json").symlink_to("blob")
        self.assertEqual(samebits("generate", "--model", model, "--prompt", "a", "--max-new-tokens", "1").returncode, 0)

    def test_names_that_a_command_line_takes_for_flags_are_refused(self):
        self.refused("run", CASE, *SMALL, "--out=-x", naming=["-x", "./-x"])
        self.refused("logprobs", "--model", MODEL, "--ids", self.ids(), "--out=-x", naming=["./-x"])
        self.refused("bench", "linear", "--out=-x", naming=["./-x"])
        self.refused("bless", self.run_folder, "--golden=-x", naming=["./-x"])
        self.assertFalse((ROOT / "-x").exists())

    def test_a_nul_in_a_path_of_a_file_is_refused(self):
        case = json.loads((ROOT / CASE).read_text())
        case["model"] = str(MODEL) + "\0"
        file = self.folder / "case.json"
        file.write_text(json.dumps(case))
        self.refused("run", file, "--out", self.folder / "o", naming=["\\u0000"])

    def test_goldens_are_blessed_into_folders_alone(self):
        for golden in ("", "/dev/null", CASE, CASE + "/x"):
            self.refused("bless", self.run_folder, "--golden", golden)
        self.assertFalse((ROOT / "grpo-tiny").exists())

    # ---- What is printed -----------------------------------------------------------------------------
    def test_no_control_character_and_no_line_without_end_is_printed(self):
        model = self.model_copy()
        file = model / "model.safetensors"
        data = file.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + length])
        end = len(data) - 8 - length
        header["evil" + ESC + "\nline two" + "x" * 100000] = {"dtype": "BF16", "shape": [0], "data_offsets": [end, end]}
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])
        self.refused("logprobs", "--model", model, "--ids", self.ids(), "--out", self.folder / "o")
        arms = (self.run_folder / "eager", self.run_folder / "fused")
        self.refused("compare", *arms, "--relation", "ulp:" + ESC)
        self.refused("compare", self.folder / ESC, arms[0])
        self.refused("run", CASE, *SMALL, "--out", self.folder / "o", environment={"SAMEBITS_CPU": ESC + "x" * 100000})
        self.assertFalse((self.folder / "o").exists(), "refused before anything is written")
        self.refused("run", CASE, "--set", "seed=" + "[" * 100000, "--out", self.folder / "o")
        self.refused("run", CASE, "--set", ESC + "=1", "--out", self.folder / "o")
        self.refused("run", CASE, "--" + ESC)
        self.refused(ESC)
        self.refused("report", self.run_folder, "--format", ESC)
        self.refused("bench", ESC)
        self.refused("repro", "show", ESC)
        self.refused("logprobs", "--model", MODEL, "--ids", self.ids("[[" + "9" * 3000000 + "]]"), "--out", self.folder / "o")
        self.refused("logprobs", "--model", MODEL, "--ids", self.ids('["' + ESC + '"]'), "--out", self.folder / "o")
        result = samebits("generate", "--model", MODEL, "--prompt", "a" + ESC + "b", "--max-new-tokens", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("a\\u001b[31mb", result.stdout)
        self.assertNotIn("\x1b", result.stdout)

    def test_a_foreign_run_folder_reaches_no_terminal(self):
        def edited(name, edit):
            run = self.run_copy()
            edit(run)
            for arguments in (("compare", run / "eager", run / "fused"), *(("report", run, "--format", form)
                              for form in ("console", "md", "json", "junit", "html", "trace"))):
                result = samebits(*arguments)
                printed = result.stdout + result.stderr
                self.assertNotRegex(printed, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", (name, arguments))
                self.assertIn(result.returncode, (0, 1, 2), name)
                for line in result.stderr.splitlines():
                    self.assertLess(len(line), 1200, name)

        def site(run):
            stream = run / "fused/rank-0.jsonl"
            lines = stream.read_text().splitlines()
            lines[0] = json.dumps({**json.loads(lines[0]), "site": ESC + "gone\nAll arms are equal"})
            stream.write_text("\n".join(lines) + "\n")

        def number(run):
            stream = run / "fused/rank-0.jsonl"
            stream.write_text('{"step":' + "9" * 3000000 + "}\n" + stream.read_text())

        def completion(run):
            file = run / "fused/steps.jsonl"
            file.write_text("".join(json.dumps({**json.loads(line), "completion": ESC + "\u202e\x9b"}) + "\n"
                                    for line in file.read_text().splitlines()))

        def manifest(run):
            file = run / "manifest.json"
            data = json.loads(file.read_text())
            hostile = ESC + "\u202e\x9b" + "x" * 5000 + "\nsecond line"
            data["command"] = hostile
            data["operators"] = [hostile]
            data["environment"] = {hostile: hostile}
            file.write_text(json.dumps(data))

        for name, edit in (("site", site), ("number", number), ("completion", completion), ("manifest", manifest)):
            edited(name, edit)

    # ---- Reports -------------------------------------------------------------------------------------
    def test_nothing_from_outside_is_live_in_a_report(self):
        hostile = "a` <img src=x> @everyone ![x](https://example.org/p.png) `b"
        out = self.folder / "md"
        samebits("run", CASE, "--arm", "eager", *SMALL, "--set",
                 "workload.prompts=" + json.dumps([{"prompt": hostile, "answer": "7"}]), "--out", out)
        line = next(line for line in (out / "report.md").read_text().splitlines() if "@everyone" in line)
        self.assertTrue(line.startswith("``") and line.endswith("``"), line)
        run = self.run_copy()
        file = run / "manifest.json"
        data = json.loads(file.read_text())
        data["operators"] = ["# " + hostile, "<script>"]
        data["environment"] = {"| <b>": hostile}
        file.write_text(json.dumps(data))
        result = samebits("report", run, "--format", "md")
        for line in result.stdout.splitlines():
            if line.startswith("``"):
                continue
            for live in ("<img", "<script", "<b>", "@everyone", "![x](", "https://example.org"):
                self.assertNotIn(live, line)

    # ---- Streams that cannot be written --------------------------------------------------------------
    def test_stdout_that_cannot_be_written_is_an_error(self):
        commands = (["report", self.run_folder, "--format", "json"], ["report", self.run_folder],
                    ["compare", self.run_folder / "eager", self.run_folder / "captured-tp2"], ["doctor"], ["--help"],
                    ["repro", "list"], ["bench", "--help"], ["generate", "--model", MODEL, "--prompt", "a"])
        for arguments in commands:
            with open("/dev/full", "w") as full:
                result = samebits(*arguments, stdout=full)
            self.assertEqual(result.returncode, 3, (arguments, result.stderr))
            self.assertEqual(result.stderr, "samebits: stdout: cannot be written: No space left on device\n")
            result = through_shell('exec "$@" >&-', *arguments)
            self.assertEqual(result.returncode, 3, (arguments, result.stderr))
            self.assertIn("stdout: cannot be written", result.stderr)

    def test_a_run_that_nobody_watches_ends_and_says_so(self):
        for closing in ('set -o pipefail; "$@" | head -1 >/dev/null', '"$@" >&-', '"$@" >/dev/full'):
            out = self.folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            result = through_shell(closing, "run", CASE, *SMALL, "--arm", "eager", "--arm", "captured-tp2", "--out", out)
            self.assertEqual(result.returncode, 3, closing + result.stderr)
            self.assertIn("stdout: cannot be written", result.stderr)
            self.assertTrue((out / "manifest.json").exists(), closing)
            self.assertEqual((out / "eager/rank-0.jsonl").read_bytes(), (self.run_folder / "eager/rank-0.jsonl").read_bytes())

    def test_a_limit_on_the_size_of_files_is_an_error_of_one_line(self):
        result = through_shell('ulimit -f 4; exec "$@"', "run", CASE, *SMALL, "--arm", "eager", "--out", self.folder / "out")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

    # ---- Numbers -------------------------------------------------------------------------------------
    def test_numbers_that_nobody_can_mean_are_refused(self):
        self.refused("logprobs", "--model", MODEL, "--ids", self.ids("[[1e999]]"), "--out", self.folder / "o",
                     naming=["line 1, column 3", "1e999"])
        model = self.model_copy()
        config = (model / "config.json").read_text()
        (model / "config.json").write_text(config.replace("1000000", "1e999"))
        self.refused("logprobs", "--model", model, "--ids", self.ids(), "--out", self.folder / "o", naming=["config.json"])
        generate = ("generate", "--model", MODEL, "--prompt", "a")
        for flags in (("--temperature", "nan"), ("--temperature", "inf"), ("--top-p", "nan"),
                      ("--max-new-tokens", str(2**63 - 1)), ("--max-new-tokens", "1000000")):
            self.refused(*generate, *flags)
        for setting in ("seed=1e999", "workload.temperature=1e999", "workload.top_p=NaN"):
            self.refused("run", CASE, "--set", setting, "--out", self.folder / "o")

    def test_what_memory_cannot_hold_is_refused_before_anything_is_made(self):
        out = self.folder / "out"
        for flags in (("workload.block_size=1000000", "workload.group=64"), ("workload.group=1000000",),
                      ("workload.group=1000000", "workload.block_size=1000000")):
            chosen = [flag for setting in flags for flag in ("--set", setting)]
            self.refused("run", CASE, "--arm", "eager", *chosen, "--out", out, naming=["GiB", "free"])
            self.assertFalse(out.exists())
        model = self.model_copy()
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2**31 - 1, "layer_types": None}))
        self.refused("generate", "--model", model, "--prompt", "a", naming=[])
        self.refused("logprobs", "--model", model, "--ids", self.ids(), "--out", self.folder / "o", naming=[])

    # ---- Graphs --------------------------------------------------------------------------------------
    def test_numbers_are_decimal_and_texts_are_there(self):
        run = ("run", CASE, *SMALL, "--out", self.folder / "out")
        for steps in ("010", "+1", "0", "99999999999999999999"):
            self.refused(*run, "--steps", steps, naming=["--steps", steps])
        generate = ("generate", "--model", MODEL, "--prompt", "a")
        for seed in ("-1", "9223372036854775808"):
            self.refused(*generate, "--seed", seed, naming=["--seed", seed])
        self.refused(*run, "--junit", "", naming=["--junit"])
        self.refused("report", "", naming=["run"])
        self.refused("logprobs", "--model", "", "--ids", self.ids(), "--out", self.folder / "o", naming=["--model"])
        self.refused("logprobs", "--model", MODEL, "--ids", self.ids("[]"), "--out", self.folder / "o",
                     naming=["ids.json"])

    def test_no_output_replaces_an_input(self):
        model = self.model_copy()
        weights = model / "model.safetensors"
        before = weights.read_bytes()
        ids = self.ids()
        for out in (weights, model / "new.safetensors", ids):
            self.refused("logprobs", "--model", model, "--ids", ids, "--out", out, naming=["reads"])
        self.assertEqual(weights.read_bytes(), before)
        self.assertEqual(ids.read_text(), "[[1, 2]]")
        case = self.folder / "case.json"
        case.write_text((ROOT / CASE).read_text())
        self.refused("run", case, *SMALL, "--out", self.folder / "out", "--junit", case, naming=["reads"])

    def test_what_cannot_serve_is_refused_before_the_first_arm(self):
        out = self.folder / "out"
        self.refused("run", CASE, *SMALL, "--arm", "eager", "--arm", "piecewise", "--out", out,
                     "--set", "piecewise.buckets=[1000000]", naming=["buckets", "1000000"])
        model = self.model_copy()
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
        self.refused("run", CASE, *SMALL, "--arm", "eager", "--arm", "captured-tp2", "--out", out,
                     "--set", f"captured-tp2.model={model}",
                     "--set", f"captured-tp2.graph={self.run_folder}/captured-tp2/graph-0.json",
                     naming=["model.rms_norm_eps"])
        self.assertFalse(out.exists())

    def test_a_case_that_was_edited_is_not_blessed(self):
        run = self.run_copy()
        case = json.loads((run / "case.json").read_text())
        (run / "case.json").write_text(json.dumps({**case, "relations": []}))
        self.refused("bless", run, "--golden", self.folder / "golden", naming=["case.json is not what was run"])
        self.assertFalse((self.folder / "golden").exists())

    def test_compare_says_what_it_did_not_look_at(self):
        run = self.run_copy()
        whole = samebits("compare", run / "eager", run / "eager")
        self.assertEqual(whole.returncode, 0, whole.stdout)
        (run / "eager" / "finished.json").unlink()
        cut = samebits("compare", run / "eager", self.run_folder / "eager")
        self.assertEqual(cut.returncode, 1, cut.stdout)
        self.assertIn("was cut off", cut.stdout)
        loose = self.folder / "loose"
        loose.mkdir()
        shutil.copy(run / "eager" / "rank-0.jsonl", loose)
        alone = samebits("compare", loose, self.run_folder / "eager")
        self.assertEqual(alone.returncode, 0, alone.stdout)  # another program's stream has no marker
        lines = (loose / "rank-0.jsonl").read_text().splitlines(keepends=True)
        (loose / "rank-0.jsonl").write_text("".join(lines)[:-1])
        torn = samebits("compare", loose, loose)
        self.assertEqual(torn.returncode, 1, torn.stdout)
        self.assertIn("was cut off", torn.stdout)
        apart = json.loads(lines[1])
        lines[1] = json.dumps({**apart, "apart": [1]}, separators=(",", ":")) + "\n"
        (loose / "rank-0.jsonl").write_text("".join(lines))
        parted = samebits("compare", loose, self.run_folder / "eager")
        self.assertEqual(parted.returncode, 1, parted.stdout)
        self.assertIn(f"parts from itself: rank 1 differs from rank 0 at step {apart['step']}", parted.stdout)
        shutil.copy(run / "eager" / "rank-0.jsonl", loose)
        shutil.copy(run / "eager" / "rank-0.jsonl", loose / "rank-1.jsonl")
        same = samebits("compare", loose, self.run_folder / "eager")
        self.assertEqual(same.returncode, 0, same.stdout)  # the other rank saw what rank 0 saw
        lines = (loose / "rank-1.jsonl").read_text().splitlines(keepends=True)
        (loose / "rank-1.jsonl").write_text("".join(lines[:-1]))
        ranks = samebits("compare", loose, self.run_folder / "eager")
        self.assertEqual(ranks.returncode, 1, ranks.stdout)
        self.assertIn("not compared", ranks.stdout)

    def test_a_report_does_not_take_a_manifests_word_for_goldens_that_are_gone(self):
        golden = self.folder / "golden"
        self.assertEqual(samebits("bless", self.run_folder, "--golden", golden).returncode, 0)
        run = self.folder / "again"
        arguments = ("run", CASE, *SMALL, "--arm", "eager", "--golden", golden, "--out", run)
        self.assertIn("equal their goldens", samebits(*arguments).stdout)
        shutil.rmtree(golden)
        self.assertIn("there is none", samebits("report", run).stdout)

    def test_a_saved_graph_calls_nothing_but_operators_of_ours(self):
        graph = json.loads((self.run_folder / "captured-tp2/graph-0.json").read_text())
        victim = self.folder / "victim.txt"
        victim.write_text("mine: twenty bytes!\n")
        arguments = {"filename": {"str": str(victim)}, "shared": True, "size": {"size": 64}, "dtype": {"dtype": "Byte"},
                     "layout": None, "device": None, "pin_memory": None}
        evil = {"op": "aten::from_file", "args": arguments, "results": [{"name": "%e0", "dtype": "Byte", "sizes": [64]}]}
        zero = {"op": "aten::zero_", "args": {"self": "%in0"}, "results": ["%in0"]}
        for node in (evil, zero):
            file = self.folder / "graph.json"
            file.write_text(json.dumps({**graph, "nodes": [node, *graph["nodes"]]}))
            for generator in ("captured", "full_graph", "piecewise"):
                out = self.folder / "out"
                self.refused("run", CASE, *SMALL, "--arm", "captured-tp2", "--set", f"captured-tp2.generator={generator}",
                             "--set", f"captured-tp2.graph={file}", "--out", out, naming=["nodes.0.op", node["op"]])
                self.assertFalse(out.exists())
        self.assertEqual(victim.read_text(), "mine: twenty bytes!\n")

    def test_a_saved_graph_of_another_model_is_refused_by_key(self):
        model = self.model_copy()
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
        graph = self.run_folder / "captured-tp2/graph-0.json"
        run = ("run", CASE, *SMALL, "--arm", "captured-tp2", "--set", f"captured-tp2.graph={graph}")
        self.assertEqual(samebits(*run, "--out", self.folder / "own").returncode, 0)
        self.refused(*run, "--set", f"captured-tp2.model={model}", "--out", self.folder / "other",
                     naming=["model.rms_norm_eps", "1e-06", "1e-05"])


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main()
