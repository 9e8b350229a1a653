"""`samebits blame` and `samebits reduce` from outside. Run by ctest: diagnose_test.py BINARY."""

import collections
import json
import os
import pathlib
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
BINARY = None
SEEDS = int(os.environ.get("SAMEBITS_BLAME_SEEDS", "1"))
TABLE = os.environ.get("SAMEBITS_BLAME_TABLE")  # a file that gets what was blamed, as Markdown
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
SIZES = {"group": 2, "max_new_tokens": 6, "temperature": 0.8, "optimizer": {"lr": 0.01},
         "prompts": [{"prompt": "The capital of", "answer": "paris"}, {"prompt": "Water", "answer": "wet"}]}

# What an arm does otherwise than a sound loop: the phase that is blamed of the pair, in which step; and
# of the arm's two sides, None where they agree.
FAULTS = {
    "other-seed": ({"seed": 7}, ("prompts and data", 0), None),
    "same-draws": ({"workload": {"draws": "same"}}, ("prompts and data", 1), None),
    "other-draws": ({"workload": {"draws": "same_for_each_prompt"}}, ("prompts and data", 0), None),
    "cooler": ({"workload": {"temperature": 0.25}}, ("generation", 0), None),
    "fused-generator": ({"generator": {"mode": "eager", "numerics": {"fused_rounding": True}}},
                        ("generation", 0), ("generation", 0)),
    "fused-trainer": ({"trainer": {"mode": "eager", "numerics": {"fused_rounding": True}}},
                      ("recompute", 0), ("recompute", 0)),
    "float32-head-generator": ({"generator": {"mode": "eager", "numerics": {"float32_head": True}}},
                               ("generation", 0), ("generation", 0)),
    "float32-head-trainer": ({"trainer": {"mode": "eager", "numerics": {"float32_head": True}}},
                             ("recompute", 0), ("recompute", 0)),
    # Its on-policy rule is "none", so that its two sides are told only where they are asked for.
    "libtorch-attention": ({"generator": {"mode": "eager", "numerics": {"attention": "sdpa"}}},
                           ("generation", 0), None),
    "dropped-roundings": ({"trainer": {"mode": "captured", "passes": ["drop_roundings"]}},
                          ("recompute", 0), ("recompute", 0)),
    "stale-pages": ({"workload": {"prefix_pages": "kept", "block_size": 1}}, ("generation", 1), ("generation", 1)),
    "padded-prompts": ({"workload": {"prompt_padding": "attended"}}, ("generation", 0), ("generation", 0)),
    "processed-generator": ({"workload": {"processed_logprobs": "generator"}}, ("generation", 0), ("generation", 0)),
    "processed-trainer": ({"workload": {"processed_logprobs": "trainer"}}, ("recompute", 0), ("recompute", 0)),
    "other-loss": ({"workload": {"loss": {"entropy": 0.5}}}, ("loss", 0), None),
    "one-group": ({"workload": {"gradient_groups": 1}}, ("gradient", 0), None),
    "other-clip-norm": ({"workload": {"optimizer": {"clip_norm": 1e-3, "eps": 1e-3}}}, ("optimizer", 0), None),
    "other-lr": ({"workload": {"optimizer": {"lr": 0.02}}}, ("optimizer", 0), None),
    "no-sync": ({"workload": {"sync": "never"}}, ("weight sync", 0), ("weight sync", 0)),
    "late-sync": ({"workload": {"sync": {"late": 1}}}, ("weight sync", 0), ("weight sync", 0)),
    "forgotten-weight": ({"workload": {"sync": {"except": ["layers.2.attention.wo.weight"]}}},
                         ("weight sync", 0), ("weight sync", 0)),
    "untied-head": ({"workload": {"untied_head": "trainer"}}, ("gradient", 0), ("weight sync", 0)),
}
# What else some seeds show: the order of a sum may round to the same loss, another attention to the same bits
# altogether, and a cooler draw may choose the same tokens for a step.
OTHERWISE = {"one-group": (("loss",), ("gradient",)), "libtorch-attention": (("generation",), ()),
             "cooler": (("generation",),)}


def blame_text(found):
    return f"{found[0]}, step {found[1]}" if found else "nothing"


def write_table(blamed, seeds):
    """How often, over the seeds so far, each fault was blamed on what."""
    def cell(counter):
        return "; ".join(f"{what}: {times}" for what, times in counter.most_common())
    rows = [f"| `{name}` | `{json.dumps(FAULTS[name][0])}` | {cell(of['pair'])} | {cell(of['sides'])} |"
            for name, of in blamed.items()]
    head = [f"| fault | setting | against a sound arm ({seeds} seeds) | its two sides |", "|---|---|---|---|"]
    pathlib.Path(TABLE).write_text("\n".join([*head, *rows]) + "\n")


def samebits(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, errors="replace",
                          env=ENVIRONMENT)


class DiagnoseTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="samebits-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_case(self, arms, relations=(), **keys):
        case = {"name": "c", "model": str(ROOT / "cases/models/tiny"), "steps": 3, "workload": SIZES,
                "arms": arms, "relations": list(relations), **keys}
        file = self.folder / "case.json"
        file.write_text(json.dumps(case))
        out = self.folder / "run"
        result = samebits("run", file, "--out", out, "--force")
        self.assertIn(result.returncode, (0, 1), result.stdout + result.stderr)
        return out

    def blamed(self, run, *flags):
        """{arms: (phase, step, text)}, and the exit code."""
        result = samebits("blame", run, *flags)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        found = {}
        for block in result.stdout.split("\n\n"):
            head = re.search(r"^(\S+(?: and \S+)?)(?:, its two sides)?: (.+), step (\d+)$", block, re.MULTILINE)
            if head:
                found[head[1]] = (head[2], int(head[3]), block)
        return found, result.returncode

    def test_every_fault_is_blamed_on_its_phase(self):
        blamed = {name: {"pair": collections.Counter(), "sides": collections.Counter()} for name in FAULTS}
        for seed in range(42, 42 + SEEDS):
            found = self.blamed_faults(seed)
            for name, of in blamed.items():
                of["pair"][blame_text(found.get(f"sound and {name}"))] += 1
                of["sides"][blame_text(found.get(name))] += 1
            if TABLE:
                write_table(blamed, seed - 41)
        self.assertIn("layers.2.attention.wo.weight", found["forgotten-weight"][2])
        self.assertIn("as it was at step 0", found["late-sync"][2])
        self.assertIn("output.weight", found["untied-head"][2])
        self.assertIn(f"seed: {seed} against 7", found["sound and other-seed"][2])

    def blamed_faults(self, seed):
        arms = {"sound": {}, **{name: settings for name, (settings, _, _) in FAULTS.items()}}
        relations = [{"arms": ["sound", name], "holds": "must_diverge", "reason": "it is a fault"} for name in FAULTS]
        found, code = self.blamed(self.run_case(arms, relations, seed=seed), "--out", self.folder / "blame")
        self.assertEqual(code, 0)
        for name, (_, pair, sides) in FAULTS.items():
            with self.subTest(name, seed=seed):
                of_pair = found.get(f"sound and {name}", ())[:2]
                if seed == 42 or name not in OTHERWISE:
                    self.assertEqual(of_pair, pair)
                else:
                    self.assertIn(of_pair[:1], OTHERWISE[name])
                self.assertEqual(found.get(name, ())[:2], sides or ())
        self.assertNotIn("sound", found)
        return found

    def test_the_sync_of_the_reference_is_named(self):
        out = self.folder / "reference"
        samebits("run", "cases/torchtitan-2393.json", "--steps", 2, "--out", out, "--set", "workload.group=2")
        found, code = self.blamed(out, "--streams")
        self.assertEqual(code, 0)
        for arm in ("fault", "fault-full-graph-tp2", "fault-fresh-draws"):
            self.assertEqual(found[arm][:2], ("weight sync", 0))
        self.assertIn("0 of 47 weights arrived, first tok_embeddings.weight", found["fault"][2])
        self.assertNotIn("mended", found)

    def test_nothing_to_blame_is_exit_code_1_and_bad_input_2(self):
        run = self.run_case({"a": {}, "b": {}}, [{"arms": ["a", "b"], "holds": "bit_exact"}])
        found, code = self.blamed(run)
        self.assertEqual((found, code), ({}, 1))
        self.assertEqual(samebits("reduce", run).returncode, 1)
        for arguments in (("blame", self.folder / "nothing"), ("reduce", self.folder / "nothing"),
                          ("blame", run, "--arm", "c"), ("reduce", run, "--arm", "c"),
                          ("blame", run, "--streams", "--out", "x"), ("reduce", run, "--time-limit", "0"),
                          ("reduce", run, "--resume", "--force")):
            result = samebits(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result.stdout))
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)

    def test_a_nan_of_one_head_is_reduced_to_that_head(self):
        model = self.folder / "with-nan"
        shutil.copytree(ROOT / "cases/models/tiny", model)
        weights = bytearray((model / "model.safetensors").read_bytes())
        header, = struct.unpack_from("<Q", weights)
        tensor = json.loads(weights[8:8 + header])["model.layers.1.self_attn.q_proj.weight"]
        row = 5 * 16 + 3  # of head 5, whose rows are 16
        struct.pack_into("<H", weights, 8 + header + tensor["data_offsets"][0] + 2 * row * tensor["shape"][1], 0x7fc0)
        (model / "model.safetensors").write_bytes(weights)
        run = self.run_case({"a": {}, "b": {"model": str(model)}}, [{"arms": ["a", "b"], "holds": "bit_exact"}])
        out = self.folder / "reduced"
        result = samebits("reduce", run, "--arm", "b", "--out", out)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("b has a NaN or an infinity at layers.attention.wq, always", result.stdout)
        configs = [json.loads(file.read_text()) for file in out.glob("model*/config.json")]
        self.assertTrue(configs)
        for config in configs:
            self.assertEqual((config["num_hidden_layers"], config["num_attention_heads"]), (2, 6))

    def test_a_reduction_that_is_killed_is_taken_up_and_what_it_leaves_stands_alone(self):
        run = self.run_case({"a": {}, "b": {"numerics": {"fused_rounding": True}, "mesh": {"tp": 2}}},
                            [{"arms": ["a", "b"], "holds": "bit_exact"}])
        out = self.folder / "reduced"
        process = subprocess.Popen([BINARY, "reduce", run, "--out", out], cwd=ROOT, env=ENVIRONMENT,
                                   stdout=subprocess.DEVNULL)
        journal = out / "journal.jsonl"
        while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 6):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = journal.read_text().splitlines()
        self.assertEqual(samebits("reduce", run, "--out", out).returncode, 2)
        result = samebits("reduce", run, "--out", out, "--resume")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(journal.read_text().splitlines()[:len(before) - 1], before[:-1])
        self.assertIn("always, in 5 runs", result.stdout)

        shutil.rmtree(run)
        alone = self.folder / "alone"
        shutil.copytree(out, alone)
        case = json.loads((alone / "case.json").read_text())
        self.assertEqual(case["arms"], {"a": {}, "b": {"numerics": {"fused_rounding": True}}})
        self.assertEqual(case["steps"], 1)
        again = subprocess.run([BINARY, "run", "case.json", "--out", "out"], cwd=alone, env=ENVIRONMENT,
                               capture_output=True, text=True)
        self.assertEqual(again.returncode, 1, again.stdout + again.stderr)
        self.assertIn("a and b diverge", again.stdout)


if __name__ == "__main__":
    BINARY = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
