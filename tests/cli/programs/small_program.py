"""A program that observes a loss of its own, for the tests of arms that are other programs: it knows the stream's
format (docs/stream.md) and nothing else of samebits.

small_program.py OUT [--steps N] [--seed S] [--level LEVEL] [--keep PLACE] [--layer NAME] [--scale X]
                 [--then WHAT] [--marks FILE]"""

import argparse
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

WORD = (1 << 64) - 1
A, B = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
FLOAT32 = 8  # its number in a digest
LATE = "import sys, time; time.sleep(0.5); print('late', file=open(sys.argv[1], 'a'))"


def mix(x, shifts, factors):
    for shift, factor in zip(shifts, factors):
        x = (x ^ x >> shift) * factor & WORD
    return x ^ x >> shifts[-1]


def mix_a(x):
    return mix(x, (30, 27, 31), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def mix_b(x):
    return mix(x, (33, 33, 33), (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53))


def line(step, site, value):
    bits, = struct.unpack("<I", struct.pack("<f", value))
    a, b = mix_a(bits + A & WORD), mix_b(bits ^ B)
    for each in (FLOAT32, 0):  # no dimension
        a, b = mix_a((a ^ each) + A & WORD), mix_b((b ^ each) + B & WORD)
    shown = float(f"{value:.9g}")
    return json.dumps({"step": step, "phase": "train", "rank": 0, "site": site, "dtype": "float32", "shape": [],
                       "digest": f"{a:016x}{b:016x}", "bits": f"{bits:08x}", "value": shown}, separators=(",", ":"))


def pair_line(step, site, values):
    """Of a tensor of two."""
    words = struct.unpack("<2I", struct.pack("<2f", *values))
    a = sum(mix_a(bits + (i + 1) * A & WORD) for i, bits in enumerate(words)) & WORD
    b = sum(mix_b(bits ^ (i + 1) * B & WORD) for i, bits in enumerate(words)) & WORD
    for each in (FLOAT32, 1, 2):
        a, b = mix_a((a ^ each) + A & WORD), mix_b((b ^ each) + B & WORD)
    return json.dumps({"step": step, "phase": "train", "rank": 0, "site": site, "dtype": "float32", "shape": [2],
                       "digest": f"{a:016x}{b:016x}"}, separators=(",", ":"))


def keep(file, tensors):
    """Pairs of floats by place."""
    entries = {name: {"dtype": "F32", "shape": [2], "data_offsets": [8 * i, 8 * i + 8]}
               for i, name in enumerate(tensors)}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    data = b"".join(struct.pack("<2f", *values) for values in tensors.values())
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)


def keeps(told, site, place):
    """Whether {keep} asks for it: the place itself, or an expression that the site matches."""
    if told.startswith("/") and told.endswith("/"):
        return re.search(told[1:-1], site) is not None
    return told == place


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--level", default="step")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--keep", default="")
    parser.add_argument("--layer", default="layer", help="the name of what level op observes")
    parser.add_argument("--pair", action="store_true", help="what level op observes is a tensor")
    parser.add_argument("--then", default="")
    parser.add_argument("--marks", type=pathlib.Path, help="where each run adds a line")
    told = parser.parse_args()
    print("a program begins")
    runs = 0
    if told.marks:
        with told.marks.open("a") as marks:
            marks.write("run\n")
        runs = len(told.marks.read_text().splitlines())
    told.out.mkdir(parents=True)
    kept = {}
    with (told.out / "rank-0.jsonl").open("w", newline="\n") as stream:
        for step in range(told.steps):
            loss = (1 + told.seed + step) * told.scale
            if told.then == "drift" and step == 1:
                loss += runs  # another value in each run
            if told.then == "sometimes" and step == 1:
                loss += runs % 2  # another value in every other run
            if told.level == "op" and told.pair:
                print(pair_line(step, f"{told.layer}#0", (1, loss)), file=stream)
                place = f"{step} 0 train {told.layer}#0"
                if keeps(told.keep, f"{told.layer}#0", place):
                    kept[place] = (1, loss + (told.then == "lie"))
            elif told.level == "op":
                print(line(step, f"{told.layer}#0", loss * 0.5), file=stream)
            print(line(step, "loss", loss), file=stream)
    if kept:
        keep(told.out / "kept-0.safetensors", kept)
    if told.then == "fail":
        print("loading the data")
        sys.exit("FileNotFoundError: no \x1b[31mdata\x1b[0m")
    if told.then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if told.then == "hang":
        time.sleep(1000)
    if told.then == "garbage":
        (told.out / "rank-0.jsonl").write_text("no observation\n")
    if told.then in ("folder", "pipe"):
        (told.out / "rank-0.jsonl").unlink()
        (os.mkdir if told.then == "folder" else os.mkfifo)(told.out / "rank-0.jsonl")
    if told.then == "empty":
        (told.out / "rank-0.jsonl").write_text("")
    if told.then == "torn":
        os.truncate(told.out / "rank-0.jsonl", (told.out / "rank-0.jsonl").stat().st_size - 1)
    if told.then == "nothing":
        (told.out / "rank-0.jsonl").unlink()
    if told.then == "late":  # what it leaves behind would write on when it has ended
        subprocess.Popen([sys.executable, "-c", LATE, str(told.out / "rank-0.jsonl")], start_new_session=True)
    if told.then == "daemon":  # goes on in a session of its own
        subprocess.Popen(["sleep", "1000"], start_new_session=True, env={**os.environ, "LEFT": str(told.out)})


main()
