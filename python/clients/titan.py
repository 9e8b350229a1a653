"""torchtitan's debug model of Qwen3 on CPUs, four steps in float32: what torchtitan.train is, with the device named.

    torchrun --nproc_per_node=N titan.py OUT FLAGS  in a folder that `titan.py --prepare` has made
    python titan.py --prepare                       makes this folder one: assets, and a checkpoint of step 0

FLAGS are torchtitan's own, and come after those below, which all runs have. All start from the one checkpoint, as
the same seed gives other weights to another mesh. torchtitan 0.2.2 and 0.3.0 are known.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import shutil
import sys

import titan_cpu

TINY = pathlib.Path(__file__).resolve().parents[2] / "cases/models/tiny"
SEED = "seed/checkpoint/step-0"
STEPS = 4

VERSION = importlib.metadata.version("torchtitan")
IS_0_2 = VERSION.startswith("0.2.")

COMMON = [
    f"--training.steps={STEPS}",
    "--training.seq_len=128",
    "--training.mixed_precision_param=float32",
    "--metrics.log_freq=1",
    "--metrics.enable_tensorboard",
    "--metrics.disable_color_printing",
    "--debug.seed=42",
    "--debug.deterministic",
    "--checkpoint.enable",
]
OF_0_2 = [
    "--model.name=qwen3",
    "--model.flavor=debugmodel",
    "--model.hf_assets_path=tests/assets/tokenizer",
    "--lr_scheduler.warmup_steps=2",
    "--optimizer.lr=8e-4",
    "--activation_checkpoint.mode=none",
    "--checkpoint.async_mode=disabled",
]
OF_0_3 = ["--module=qwen3", "--config=qwen3_debugmodel", "--training.disable_cuda_graphs"]


def prepare() -> None:
    """torchtitan's data set `c4_test` and a tokenizer, which its wheel lacks; and the seed checkpoint."""
    sys.path.insert(0, str(TINY))
    import corpus

    data = pathlib.Path("tests/assets/c4_test/data.json")
    data.parent.mkdir(parents=True, exist_ok=True)
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in corpus.documents(count=2000, seed=42)))
    tokenizer = pathlib.Path("tests/assets/tokenizer")
    tokenizer.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, tokenizer)
    os.environ.update(RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    train("seed", ["--checkpoint.create_seed_checkpoint"])


def train(out: str, flags: list[str]) -> None:
    titan_cpu.name_the_device()
    titan_cpu.reduce_with_sums()
    # torchtitan reads its command line when it is imported.
    if IS_0_2:
        sys.argv = ["titan.py", *COMMON, *OF_0_2, f"--job.dump_folder={out}", *flags]
        titan_cpu.attend_to_local_heads()
    else:
        # The last word is a subcommand.
        sys.argv = ["titan.py", *OF_0_3, *COMMON, f"--dump_folder={out}", *flags, "activation-checkpoint:none"]
        titan_cpu.attend_with_a_dense_mask()
    import torchtitan.train as titan

    if IS_0_2:
        titan.main(titan.Trainer)
    else:
        titan.main()


def main(flags: list[str]) -> None:
    if flags == ["--prepare"]:
        prepare()
        return
    out, *rest = flags
    start = pathlib.Path(SEED).absolute()
    if not start.is_dir():
        sys.exit(f"titan.py: {SEED}: no such folder, expected what titan.py --prepare makes")
    loaded = "initial_load_path" if IS_0_2 else "initial-load-path"
    train(out, [f"--checkpoint.{loaded}={start}", "--checkpoint.load_only", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
