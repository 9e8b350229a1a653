"""Compares `samebits logprobs` with Transformers on one model folder; exits 1 where a bound fails.

    python compare.py --samebits BINARY --model DIR [--ids FILE] [--dtype float32] [--tp 1,2]

Bounds, measured on the recorded folders (README.md gives the figures and the reasons):
- float32: each logit within 16 ULP of the largest logit of Transformers' float32.
- bfloat16: against the float32 logits of the same bf16 weights, the largest and the root mean
  square distance at most twice those of Transformers' own bf16.
- every TP degree gives the same bits.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

import reference

FLOAT32_ULPS = 16
BFLOAT16_FACTOR = 2.0


def run_samebits(args, ids_file, tp, folder):
    out = pathlib.Path(folder, f"tp-{tp}.safetensors")
    command = [
        str(args.samebits),
        "logprobs",
        "--model",
        str(args.model),
        "--ids",
        str(ids_file),
        "--tp",
        str(tp),
        "--dtype",
        args.dtype,
        "--logits",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr.strip()}")
    return load_file(out)


def check(what, measured, bound):
    held = measured <= bound  # false for NaN
    print(f"{'ok  ' if held else 'FAIL'} {what}: {measured:.3g}, bound {bound:.3g}")
    return held


def check_shapes(got, sequences, vocab):
    held = True
    for i, ids in enumerate(sequences):
        for name, shape in ((f"logits.{i}", (len(ids), vocab)), (f"logprobs.{i}", (len(ids) - 1,))):
            found = tuple(got[name].shape) if name in got else None
            if found != shape:
                print(f"FAIL {name}: shape {found}, expected {shape}")
                held = False
    return held


def check_values(got, args, sequences):
    count = range(len(sequences))
    with torch.no_grad():
        half = reference.load(args.model, torch.bfloat16)
        own = [reference.logits_of(half, ids) for ids in sequences]
        # The float32 arithmetic of the weights that samebits used: rounded first for bfloat16.
        exact = (
            half.float() if args.dtype == "bfloat16" else reference.load(args.model, torch.float32)
        )
        logits = [reference.logits_of(exact, ids) for ids in sequences]
    if not check_shapes(got, sequences, logits[0].shape[1]):
        return False
    largest = max(x.abs().max().item() for x in logits)
    worst, rms = reference.distance([got[f"logits.{i}"] for i in count], logits)
    if args.dtype == "float32":
        held = check("logits, largest distance", worst, FLOAT32_ULPS * 2**-23 * largest)
    else:
        own_worst, own_rms = reference.distance(own, logits)
        held = check("logits, largest distance", worst, BFLOAT16_FACTOR * own_worst)
        held &= check("logits, root mean square distance", rms, BFLOAT16_FACTOR * own_rms)
    # A log-probability is a logit less a log-sum-exp: each moves by at most the logits' distance.
    slack = 2 * worst + FLOAT32_ULPS * 2**-23 * largest
    gap = max(
        (got[f"logprobs.{i}"] - reference.logprobs_of(logits[i], ids)).abs().max().item()
        for i, ids in enumerate(sequences)
        if len(ids) > 1
    )
    return held & check("logprobs, largest distance", gap, slack)


def same_bits(a, b):
    return a.keys() == b.keys() and all(
        a[k].shape == b[k].shape and torch.equal(a[k].view(torch.uint8), b[k].view(torch.uint8))
        for k in a
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samebits", type=pathlib.Path, default="build/samebits")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--ids", type=pathlib.Path, help="JSON, a list of lists; default: random")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--tp", default="1", help="degrees, comma-separated")
    args = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        ids_file = args.ids or pathlib.Path(folder, "ids.json")
        if not args.ids:
            vocab = json.loads((args.model / "config.json").read_text())["vocab_size"]
            rng = random.Random(0)
            ids_file.write_text(
                json.dumps([[rng.randrange(vocab) for _ in range(n)] for n in (17, 2, 33)])
            )
        sequences = json.loads(ids_file.read_text())
        runs = {tp: run_samebits(args, ids_file, tp, folder) for tp in map(int, args.tp.split(","))}
    first = next(iter(runs))
    held = check_values(runs[first], args, sequences)
    for tp, got in runs.items():
        if tp != first:
            same = same_bits(runs[first], got)
            print(f"{'ok  ' if same else 'FAIL'} TP {tp} gives the bits of TP {first}")
            held &= same
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
