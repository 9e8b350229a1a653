"""vllm#26199 in stock torch, on the CPU: programs that branch on a size, compiled at one size, guards
dropped as vLLM drops them, and served at a size of the other branch. Dropping is the consumer's
doing: "live" says that the result is then that of the wrong branch, and the control is that with
guards kept it is not."""

import json

import torch


def sum_or_mean(x):
    return x.sum() if x.shape[0] % 2 == 0 else x.mean()


def last_row(x):
    return x if x.shape[0] == 1 else x[-1:]


def plus_a_table(x):
    return x + (SHORT if x.shape[0] <= 4 else LONG)[: x.shape[0]]


SHORT, LONG = torch.zeros(4, 1), torch.zeros(64, 1)
PROGRAMS = ((sum_or_mean, 6, 5), (last_row, 1, 2), (plus_a_table, 4, 5))


def served(program, traced, size, keeps_guards):
    """What is wrong at a size, or nothing."""
    torch._dynamo.reset()
    drop = {"guard_filter_fn": lambda guards: [False] * len(guards)}
    compiled = torch.compile(
        program, backend="eager", dynamic=True, options=None if keeps_guards else drop
    )
    compiled(torch.ones(traced, 3))
    x = torch.arange(size * 3.0).view(size, 3)
    expected = program(x)
    try:
        got = compiled(x)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    if got.shape != expected.shape:
        return f"{got.shape[0]} rows, expected {expected.shape[0]}"
    return None if torch.equal(got, expected) else f"{got.item():g}, expected {expected.item():g}"


wrong = {}
for program, traced, size in PROGRAMS:
    assert served(program, traced, size, keeps_guards=True) is None, "with guards kept too"
    what = served(program, traced, size, keeps_guards=False)
    if what:
        wrong[f"{program.__name__} at {traced}, served at {size}"] = what
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "; ".join(f"{name}: {what}" for name, what in wrong.items())
    or "every size is served by its own branch",
}))
