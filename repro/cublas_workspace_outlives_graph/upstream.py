"""pytorch#193402 on the torch and the GPU at hand: a GEMM that needs cuBLAS's workspace, captured
twice on one stream. One graph is reset, the cache emptied and what was freed overwritten; the other
graph is replayed. It runs in a process of its own, since an illegal access ends every later
call."""

import json
import subprocess
import sys

import torch

REPLAY = """
import torch
torch.manual_seed(0)
x = torch.randn(32768, 640, dtype=torch.bfloat16, device="cuda")
w = torch.randn(640, 640, dtype=torch.bfloat16, device="cuda")
x.t() @ x @ w  # makes cuBLAS's handle, which no capture may
torch.cuda.synchronize()
stream = torch.cuda.Stream()

def captured():
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        y = x.t() @ x @ w
    return graph, y

first, _ = captured()
second, y = captured()
second.replay()
torch.cuda.synchronize()
before = y.clone()
CLEAR
torch.cuda.empty_cache()
taken = [torch.full((1 << 20,), float("nan"), device="cuda") for _ in range(64)]
second.replay()
torch.cuda.synchronize()
print("differing", int((y != before).sum()))
"""

# Which of the two frees the workspace: the end of the other graph, or a call for it.
CLEARS = {
    "the other graph was reset": "first.reset()",
    "the workspaces were cleared": "torch._C._cuda_clearCublasWorkspaces()",
    "nothing was freed": "",
}


def outcome(clear):
    script = REPLAY.replace("CLEAR", clear)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if ran.returncode == 0:
        differing = int(ran.stdout.split()[-1])
        return f"{differing} elements differ" if differing else None
    return next(line for line in ran.stderr.splitlines() if "Error" in line and "File" not in line)


if torch.cuda.is_available():
    outcomes = {what: outcome(clear) for what, clear in CLEARS.items()}
    control = outcomes.pop("nothing was freed")
    failed = {what: text for what, text in outcomes.items() if text}
    if control:
        state, evidence = "changed", f"nothing was freed, and yet: {control}"
    elif failed:
        state = "live"
        evidence = "; ".join(f"after {what}: {text}" for what, text in failed.items())
    else:
        state, evidence = "fixed", "a replay gives the same bits after all of them"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
