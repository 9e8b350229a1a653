"""radixark/Megatron-LM#65 in stock torch, on the CPU: the tiles of a bfloat16 product along K, as
many as Qwen3-4B's down projection has at TP 2, summed in the order of each side. The code at fault
is not torch's: "live" says that the two orders give other bits in this torch."""

import json

import torch

TILE = 128


def tiles_of(count):
    torch.manual_seed(0)
    x = torch.randn(4, count * TILE, dtype=torch.bfloat16)
    w = torch.randn(64, count * TILE, dtype=torch.bfloat16)
    return [a @ b.t() for a, b in zip(x.split(TILE, 1), w.split(TILE, 1))]


def by_pairs(tiles):
    """The trainer's: neighbours, then neighbours of those."""
    while len(tiles) > 1:
        joined = [a + b for a, b in zip(tiles[::2], tiles[1::2])]
        tiles = joined + tiles[len(joined) * 2 :]
    return tiles[0]


def by_chains(tiles):
    """The generator's kernel: chains of the odd part of the count, or of two, joined by pairs."""
    length = len(tiles)
    while length > 2 and length % 2 == 0:
        length //= 2
    chains = [tiles[i : i + length] for i in range(0, len(tiles), length)]
    sums = []
    for first, *rest in chains:
        for tile in rest:
            first = first + tile
        sums.append(first)
    return by_pairs(sums)


def differing(count):
    tiles = tiles_of(count)
    return int((by_pairs(tiles) != by_chains(tiles)).sum())


counts = {count: differing(count) for count in (2, 3, 4, 6, 8, 16, 32, 38)}
wrong = {count: n for count, n in counts.items() if n}
same = [count for count, n in counts.items() if not n]
evidence = f"elements of 256 that differ, by tiles: {wrong}; the same bits with {same}"
print(json.dumps({"torch": torch.__version__, "state": "live" if 38 in wrong else "fixed", "evidence": evidence}))
