"""samebits's own Qwen3 in float32 against Transformers', layer by layer, as arms of depths.json.

    SAMEBITS=build/samebits python depths_test.py       prints how far the two are apart behind each layer

A control moves one product of the third layer by a hundredth of a percent: the relations of one and of two layers must
hold all the same, and those of three and of four must not.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import unittest

import torch
from run import OUT, ROOT, Done, samebits, say, timed
from safetensors.torch import load_file

PROGRAM = str(ROOT / "python/clients/depths.py")
DEPTHS = (1, 2, 3, 4)
FAULT = 2  # the third layer


def scalars(folder: pathlib.Path) -> dict[tuple[int, str], float]:
    lines = map(json.loads, (folder / "rank-0.jsonl").read_text().splitlines())
    return {(each["step"], each["site"]): each["value"] for each in lines if "value" in each}


def farthest(run: pathlib.Path, arm: str, kind: str) -> float:
    own, theirs = scalars(run / f"own-{arm}"), scalars(run / f"hf-{arm}")
    places = [place for place in own if place[1].partition("[")[0] == kind]
    return max(abs(own[place] - theirs[place]) for place in places)


def farthest_gradient(run: pathlib.Path, arm: str) -> float:
    """Of all elements: both arms observe, and keep, them in one order."""
    own, theirs = (load_file(run / f"{side}-{arm}" / "kept-0.safetensors") for side in ("own", "hf"))
    places = zip(in_order(run / f"own-{arm}", own), in_order(run / f"hf-{arm}", theirs), strict=True)
    return max((own[a] - theirs[b]).abs().max().item() for a, b in places)


def in_order(folder: pathlib.Path, kept: dict[str, torch.Tensor]) -> list[str]:
    lines = map(json.loads, (folder / "rank-0.jsonl").read_text().splitlines())
    names = [f"{each['step']} 0 {each['phase']} {each['site']}" for each in lines if "site" in each]
    return [name for name in names if name in kept]


def run(name: str, *settings: str) -> tuple[Done, pathlib.Path]:
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    done = samebits("run", "python/clients/depths.json", "--out", str(folder), *settings)
    say(name, done)
    return done, folder


class DepthsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        done = timed("python", PROGRAM, "--prepare")
        if done.returncode:
            raise RuntimeError(done.stderr)

    def test_each_layer_is_within_its_bound(self) -> None:
        done, folder = run("run-depths")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for arm in (*map(str, DEPTHS), "trained"):
            self.assertEqual(scalars(folder / f"own-{arm}").keys(), scalars(folder / f"hf-{arm}").keys())
        kinds = ("logprob", "loss", "grad_norm")
        print("\n| layers | " + " | ".join((*kinds, "gradient")) + " |\n|---|---|---|---|---|")
        for arm in (*map(str, DEPTHS), "trained"):
            found = [*(farthest(folder, arm, kind) for kind in kinds), farthest_gradient(folder, arm)]
            print(f"| {arm} | " + " | ".join(f"{each:.1e}" for each in found) + " |")

    def test_a_fault_of_the_third_layer_is_seen_from_the_third_on(self) -> None:
        settings = []
        for depth in DEPTHS:
            program = ["python3", "depths.py", f"../../out/depths/{depth}", "{out}", "--fault", str(FAULT)]
            command = [*program, "--steps", "{steps}", "--keep", "{keep}"]
            settings += ["--arm", f"own-{depth}", "--arm", f"hf-{depth}"]
            settings += ["--set", f"hf-{depth}.command={json.dumps(command)}"]
        done, _ = run("run-depths-fault", *settings)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        said = " ".join(done.stdout.split())
        for depth in DEPTHS:
            self.assertRegex(said, rf"own-{depth} ~ hf-{depth} +{'FAILS' if depth > FAULT else 'holds'}")


if __name__ == "__main__":
    unittest.main()
