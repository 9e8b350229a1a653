"""vllm#43810 in stock torch, on the CPU: rows written to a paged cache by indexing, two of them
padding, whose slot is -1. That -1 is the last index is torch's definition: "live" says that the last
slot is written. The control skips negative slots with shapes that stay."""

import json

import torch

PAGES, PAGE, WIDTH = 5, 16, 4
SLOTS = torch.tensor([3, 40, -1, -1])


def by_indexing(cache, slots, rows):
    cache[slots // PAGE, slots % PAGE] = rows


def skipping(cache, slots, rows):
    """Padding writes what is there already."""
    pages, offsets = slots.clamp(min=0) // PAGE, slots.clamp(min=0) % PAGE
    kept = torch.where(slots[:, None] < 0, cache[pages, offsets], rows)
    order = torch.argsort(slots, stable=True)  # a real row after padding at the same slot
    cache[pages[order], offsets[order]] = kept[order]


def written(write):
    """The slots that nobody asked for and that hold something else now."""
    cache = torch.full((PAGES, PAGE, WIDTH), 7.0)
    write(cache, SLOTS, torch.arange(4.0)[:, None].expand(4, WIDTH))
    changed = (cache != 7).any(-1).flatten().nonzero().flatten().tolist()
    return sorted(set(changed) - set(SLOTS.tolist()))


assert written(skipping) == [], "the control too"
slots = written(by_indexing)
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if slots else "fixed",
    "evidence": f"slots {SLOTS.tolist()} of {PAGES} pages of {PAGE}: also written {slots}",
}))
