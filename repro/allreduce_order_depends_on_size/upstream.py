"""sglang#34159 in stock torch, with four processes and no GPU: one row of contributions in messages
of several lengths and at several places, summed by gloo's all-reduce, in float32. No order is
promised: "live" says that the row's bits depend on the message. The control gathers, and adds in
the order of the ranks."""

import json
import os
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

RANKS = 4
ROW = 64
LENGTHS = (64, 65, 128, 1000, 4099, 65536, 1 << 20)


def contribution(rank):
    """Large and small numbers of both signs, for which orders differ."""
    generator = torch.Generator().manual_seed(rank)
    row = torch.randn(ROW, generator=generator)
    return row * 10.0 ** torch.randint(-4, 5, (ROW,), generator=generator)


def all_reduced(message):
    dist.all_reduce(message)
    return message


def gathered(message):
    parts = [torch.empty_like(message) for _ in range(RANKS)]
    dist.all_gather(parts, message)
    return parts[0] + parts[1] + parts[2] + parts[3]


def rows_by(sum_over_ranks, rank):
    """The row's sum in each message, by (length, place)."""
    rows = {}
    for length in LENGTHS:
        for place in sorted({0, (length - ROW) // 2, length - ROW}):
            message = torch.ones(length)
            message[place : place + ROW] = contribution(rank)
            rows[length, place] = sum_over_ranks(message)[place : place + ROW].clone()
    return rows


def differing(rows):
    first = next(iter(rows.values()))
    found = {at: int((row != first).sum()) for at, row in rows.items()}
    return {at: n for at, n in found.items() if n}


def work(rank, store, answer):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    reduced, control = differing(rows_by(all_reduced, rank)), differing(rows_by(gathered, rank))
    if rank == 0:
        assert not control, "gathered and added in order too"
        told = ", ".join(f"{n} at {place} of {length}" for (length, place), n in list(reduced.items())[:6])
        text = f"elements of {ROW} that are not those of a message of {ROW}: {told or 'none'}"
        answer.put(("live" if reduced else "fixed", text))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        answer = mp.get_context("spawn").SimpleQueue()
        mp.spawn(work, (os.path.join(folder, "store"), answer), nprocs=RANKS)
        state, evidence = answer.get()
    print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
