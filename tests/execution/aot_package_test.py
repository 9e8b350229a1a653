"""Packages of AOTInductor, made and run: aot_package_test.py SAMEBITS. They need the torch that samebits is built
against, of the interpreter in SAMEBITS_UPSTREAM_PYTHON or of this one; skipped where it has another, or none."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASE = "cases/gap-matrix.json"
MEASURED = '{"holds": "none", "reason": "the gap is what is measured"}'
PYTHON = os.environ.get("SAMEBITS_UPSTREAM_PYTHON", sys.executable)


def samebits(*arguments):
    return subprocess.run([SAMEBITS, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True)


def run_case(*arguments):
    """A group for each sequence: micro-batches of more than one have another graph, and a package holds one."""
    return samebits("run", CASE, "--steps", "1", "--set", "workload.gradient_groups=64", *arguments)


def compiled(package):
    return json.dumps({"mode": "aot_inductor", "package": str(package)})


class AotPackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name)
        result = run_case("--arm", "captured-captured", "--out", cls.folder / "graphs")
        assert result.returncode == 0, result.stderr
        for index, side in enumerate(("generator", "trainer")):
            graph = cls.folder / "graphs" / "captured-captured" / f"graph-{index}.json"
            made = cls.package(graph, cls.folder / f"{side}.pt2")
            assert made.returncode == 0, made.stderr

    @staticmethod
    def package(graph, package):
        return subprocess.run([PYTHON, "tools/aot-package", graph, package], cwd=ROOT, capture_output=True, text=True)

    def run_compiled(self, out, *more):
        sides = [f"eager-eager.{side}={compiled(self.folder / f'{side}.pt2')}" for side in ("generator", "trainer")]
        settings = [*sides, f"eager-eager.on_policy={MEASURED}", *more]
        flags = [flag for setting in settings for flag in ("--set", setting)]
        return run_case("--arm", "eager-eager", *flags, "--out", self.folder / out)

    def test_both_sides_run_their_packages_and_part_from_eager(self):
        result = self.run_compiled("compiled")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        arm = self.folder / "compiled" / "eager-eager"
        witness = json.loads((arm / "steps.jsonl").read_text())["witness"]
        for side, least in (("generator", 2), ("trainer", 1)):  # a step is one micro-batch
            self.assertGreaterEqual(witness[f"{side}.compiled_runs"], least)
            self.assertEqual(witness[f"{side}.nodes"] + witness[f"{side}.eager_calls"], 0)
        self.assertGreater(witness["optimizer.nodes"], 0)
        # The weights moved: the trainer's package gave gradients.
        self.assertRegex((arm / "rank-0.jsonl").read_text(), '"grad_norm"')
        result = samebits("compare", arm, self.folder / "graphs" / "captured-captured")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)

    def test_a_package_serves_the_graph_that_it_was_made_of_alone(self):
        result = self.run_compiled("other", "seed=43")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertRegex(result.stderr, r"generator\.pt2: found a package of another graph: nodes\.\d+\.args\.seed is "
                                        "42, expected 43 in the graph of this generator")

    def test_a_graph_of_tensor_parallelism_is_refused(self):
        made = self.package("cases/graphs/tiny-tp2.json", self.folder / "tp2.pt2")
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("samebits::redistribute; expected aten's, or one of", made.stderr)


def torch_version():
    asked = subprocess.run([PYTHON, "-c", "import torch; print(torch.__version__.partition('+')[0])"],
                           capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else "none"


if __name__ == "__main__":
    SAMEBITS = sys.argv.pop()
    version, ours = torch_version(), samebits("--version").stdout.strip()
    if not ours.endswith(f"LibTorch {version}"):
        print(f"{PYTHON} has torch {version}; {ours}")
        sys.exit(77)
    unittest.main()
