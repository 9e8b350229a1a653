"""torchtitan#2119 in stock torch: a forward that reads the largest position and grows its table,
compiled whole, and where there is a GPU captured, and grown between capture and replay. The code at
fault is a model's: "live" says that this torch refuses the read, or replays with the old table."""

import json

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Rope:
    """A table of positions times one frequency, as long as it had to be so far."""

    def __init__(self, rows):
        self.table = self.of(rows)

    @staticmethod
    def of(rows):
        return torch.arange(float(rows), device=DEVICE).cos()

    def grow(self, rows):
        if rows > self.table.shape[0]:
            self.table = self.of(rows)

    def __call__(self, positions):
        self.grow(positions.max().item() + 1)
        return self.table[positions]


class FixedRope(Rope):
    def __call__(self, positions):
        return self.table[positions]


def first_line(call):
    """Of what it is refused with, or nothing."""
    try:
        call()
    except Exception as error:  # of many types: Dynamo's, CUDA's
        return next(line for line in str(error).splitlines() if line.strip())
    return None


def compiled(rope):
    torch._dynamo.reset()
    return first_line(lambda: torch.compile(rope.__call__, backend="eager", fullgraph=True)(positions))


def captured(rope):
    graph = torch.cuda.CUDAGraph()
    rope(positions)
    with torch.cuda.graph(graph):
        out = rope(positions)
    return graph, out


def replayed_after_growth():
    """Elements that are not eager's once the table was replaced and its memory written again."""
    rope = FixedRope(16)
    graph, out = captured(rope)
    rope.grow(64)
    taken = [torch.full((16,), 7.0, device=DEVICE) for _ in range(64)]
    graph.replay()
    torch.cuda.synchronize()
    return int((out != rope(positions)).sum()) if taken else 0


positions = torch.arange(16, device=DEVICE)
assert compiled(FixedRope(16)) is None, "the control, a table that is long enough"
refusal = compiled(Rope(16))
evidence = [f"compiled whole: {refusal}"]
wrong = 0
if DEVICE == "cuda":
    wrong = replayed_after_growth()
    evidence.append(f"grown between capture and replay: {wrong} of 16 elements differ")
    # Last: a capture that failed may leave its stream behind.
    evidence.append(f"captured: {first_line(lambda: captured(Rope(16)))}")
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if refusal or wrong else "fixed",
    "evidence": "; ".join(evidence),
}))
