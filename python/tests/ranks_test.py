"""Two ranks over Gloo under torchrun: a stream each, in one folder."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from streams import Place, by_place, read

import samebits_record
from samebits_record.folder import ArmFolder

HERE = pathlib.Path(__file__).resolve().parent
RECORDER = str(pathlib.Path(samebits_record.__file__).resolve().parents[1])  # installed, or the checkout's
PROGRAM = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from programs import make, train

dist.init_process_group("gloo")
model, _ = make()
torch.manual_seed(dist.get_rank())
if sys.argv[1] == "ddp":
    model = torch.nn.parallel.DistributedDataParallel(model)
else:
    mesh = init_device_mesh("cpu", (2,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for each in model.modules():
        if hasattr(each, "set_force_sum_reduction_for_comms"):
            each.set_force_sum_reduction_for_comms(True)  # Gloo has no other
if sys.argv[1] == "fault" and dist.get_rank() == 1:
    with torch.no_grad():
        own = model.blocks[2].down.weight.to_local().view(-1)[3:4]
        own.copy_(own.nextafter(torch.tensor(9.0)))
found = train(model, torch.optim.SGD(model.parameters(), lr=0.1))
print(f"rank {dist.get_rank()}: {[each.item() for each in found[:2]]}\\n", end="", flush=True)
dist.destroy_process_group()
"""

# Small whole numbers, so that no order of a sum can change it: two ranks compute what one does, to the bit.
WHOLE_NUMBERS = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

dist.init_process_group("gloo")
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(8, 32), torch.nn.Linear(32, 8)

    def forward(self, x):
        hidden = self.up(x).relu() * 2
        hidden.cumsum(-1)  # of the local part alone
        return self.down(hidden)

torch.manual_seed(0)
model = Model()
with torch.no_grad():
    for each in model.parameters():
        each.copy_(torch.randint(-3, 4, each.shape))
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
if dist.get_world_size() > 1:
    parallelize_module(model, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})
for _ in range(2):
    loss = model(torch.randint(-3, 4, (4, 6, 8)).float()).sum()
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    model.zero_grad()
print(loss.item(), flush=True)
dist.destroy_process_group()
"""


class RanksTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "program.py").write_text(PROGRAM)
        (self.root / "whole_numbers.py").write_text(WHOLE_NUMBERS)

    def torchrun(self, *arguments: str, ranks: int = 2) -> list[str]:
        launcher = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}")
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), RECORDER])}
        command = [sys.executable, *launcher, *arguments]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted(done.stdout.split("\n"))

    def recorded(self, kind: str) -> list[dict[Place, str]]:
        """Both ranks' streams. The recorded program printed what it prints unrecorded."""
        recorder = ("-m", "samebits_record", "--out", kind, "--level", "op", "--")
        self.assertEqual(self.torchrun(*recorder, "program.py", kind), self.torchrun("program.py", kind))
        marker = json.loads((self.root / kind / "finished.json").read_text())
        self.assertEqual(marker["observations"], [len(read(self.root / kind, rank)) for rank in (0, 1)])
        return [by_place(read(self.root / kind, rank)) for rank in (0, 1)]

    def test_ranks_have_the_names_of_the_model_and_shards_the_digests_of_the_whole(self) -> None:
        found = {kind: self.recorded(kind) for kind in ("ddp", "fsdp", "fault")}
        for kind, streams in found.items():
            with self.subTest(kind):
                sites = {site for _, _, site, _ in streams[0]}
                self.assertLessEqual({"Model#0", "blocks.2.down/aten.addmm[0]#0", "blocks.2.down.weight"}, sites)
                self.assertFalse([site for site in sites if "/c10d." in site])
                losses = [digest for each in streams for place, digest in each.items() if place[2] == "loss"]
                self.assertEqual(len(set(losses)), 4)
                self.assertEqual(whole(streams[0]), whole(streams[1]))
        # Each rank of DDP has every weight and gradient, each of FSDP the half of them.
        ddp, fsdp, fault = (whole(found[kind][0]) for kind in ("ddp", "fsdp", "fault"))
        self.assertGreater(len(ddp), 60)
        self.assertEqual(ddp, fsdp)
        moved = {place for place in fsdp if place[0] == 0 and place[1] == "weights" and fsdp[place] != fault[place]}
        self.assertIn((0, "weights", "blocks.2.down.weight", 0), moved)
        self.assertEqual({place for place in moved if place[3] == 0}, {(0, "weights", "blocks.2.down.weight", 0)})

    def test_ranks_that_end_together_wait_for_each_other(self) -> None:
        folders = [ArmFolder(self.root / "arm", {}, rank, ranks=2) for rank in (0, 1)]
        original, has_begun = pathlib.Path.write_text, threading.Event()

        def write_slowly(path: pathlib.Path, text: str, **options: str) -> int:
            if path.name == ".ended-0":
                path.touch()  # as any write does: the file is there before what it holds
                has_begun.set()
                time.sleep(0.2)
            return original(path, text, **options)

        with mock.patch.object(pathlib.Path, "write_text", write_slowly), ThreadPoolExecutor() as pool:
            first = pool.submit(folders[0].finish)
            self.assertTrue(has_begun.wait(10))
            folders[1].finish()
            first.result()
        marker = json.loads((self.root / "arm/finished.json").read_text())
        self.assertEqual(marker["observations"], [0, 0])

    def test_two_ranks_of_tensor_parallelism_have_the_digests_of_one(self) -> None:
        found = []
        for ranks in (1, 2):
            recorder = ("-m", "samebits_record", "--out", f"tp{ranks}", "--level", "op", "--begin", "forward")
            keep = ("--keep", "1 0 forward Model/aten.relu[0]#0", "--")
            printed = self.torchrun(*recorder, *keep, "whole_numbers.py", ranks=ranks)
            self.assertEqual(len(set(printed) - {""}), 1, printed)
            found += [by_place(read(self.root / f"tp{ranks}", rank)) for rank in range(ranks)]
        kept = [self.root / f"tp{ranks}/kept-{rank}.safetensors" for ranks, rank in ((1, 0), (2, 0), (2, 1))]
        self.assertEqual(len({file.read_bytes() for file in kept}), 1)
        one, first, second = found
        self.assertEqual(first, {**second, **{k: v for k, v in first.items() if k[2].endswith(".local")}})
        # What a rank does with its part alone, operator by operator, is known as a part of the whole.
        for site in ("up#0", "Model/aten.relu[0]#0", "Model/aten.mul.Tensor[0]#0", "down#0", "Model#0"):
            self.assertEqual(one[1, "forward", site, 0], first[1, "forward", site, 0], site)
        for site in ("up.weight", "up.bias", "down.weight"):
            self.assertEqual(one[1, "weights", site, 0], first[1, "weights", site, 0], site)
            self.assertEqual(one[1, "optimizer", f"{site}.grad", 0], first[1, "optimizer", f"{site}.grad", 0], site)
        self.assertEqual([place for place in one if place in first and one[place] != first[place]], [])
        self.assertIn((1, "forward", "Model/aten.cumsum[0]#0.local", 0), first)
        self.assertFalse([place for place in one if place[2].endswith(".local")])


def whole(stream: dict[Place, str]) -> dict[Place, str]:
    """Weights, and gradients as the optimizer gets them."""
    return {
        place: digest
        for place, digest in stream.items()
        if place[1] == "weights" or (place[1] == "optimizer" and place[2].endswith(".grad"))
    }


if __name__ == "__main__":
    unittest.main()
