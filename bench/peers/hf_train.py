"""The steps of bench/train_bench.cpp with Hugging Face Transformers: the shape of Qwen3-0.6B, random weights,
bfloat16, one batch of all sequences, logits of the generated tokens alone, the same loss, clipping by the
norm, fused AdamW with moments in bfloat16; eager and under torch.compile (model and loss together). Prints
one JSON line a configuration, before them one with the versions.

    python3 bench/peers/hf_train.py >train.jsonl

`ms`: the median of a step, with the least and the most; peak bytes of tensors on the card. --wait FILE warms
up, compiles, and times nothing before FILE is there, so that compiling may share the machine and timing need
not.
"""

import argparse
import json
import os
import statistics
import time

import torch
import transformers

from hf_generate import SHAPES

STEPS = {"0.6B": [(40, 30, 20), (4, 1024, 1024)], "tiny": [(8, 6, 4)]}  # sequences, prompt, new tokens
CLIP, ENTROPY, KL = 0.2, 0.01, 0.1


class Policy(torch.nn.Module):
    """The loss of a batch, summed over its sequences."""

    def __init__(self, shape, device):
        super().__init__()
        config = transformers.Qwen3Config(**SHAPES[shape], tie_word_embeddings=True, attn_implementation="sdpa")
        with torch.device(device):
            self.model = transformers.Qwen3ForCausalLM(config).to(torch.bfloat16)
        self.vocab = config.vocab_size

    def forward(self, ids, new, reference, advantage):
        logits = self.model(input_ids=ids, use_cache=False, logits_to_keep=new + 1).logits[:, :-1]
        logprobs = torch.log_softmax(logits.float(), -1).gather(-1, ids[:, -new:, None])[..., 0]
        total = logprobs.sum(1)
        d = total - reference.sum(1)
        ratio = d.exp()
        gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage)
        entropy = -total / (ids.shape[0] * new)
        kl = (ratio - 1) - d
        return ((-gain + KL * kl) / ids.shape[0] - ENTROPY * entropy).sum()


class Trainer:
    def __init__(self, policy, sequences, prompt, new, compiled):
        device = next(policy.parameters()).device
        self.policy = policy
        self.new = new
        self.loss = torch.compile(policy, dynamic=False) if compiled else policy
        self.optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
        self.ids = torch.randint(policy.vocab, (sequences, prompt + new), device=device)
        self.reference = torch.full((sequences, new), -11.9, device=device)
        self.advantage = torch.tensor([0.5, -0.5] * (sequences // 2), device=device)

    def step(self):
        start = time.perf_counter()
        loss = self.loss(self.ids, self.new, self.reference, self.advantage)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()
        if self.ids.is_cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shape", choices=STEPS, default="0.6B")
    arguments.add_argument("--device", default="cuda")
    arguments.add_argument("--modes", nargs="+", choices=["eager", "compile"], default=["eager", "compile"])
    arguments.add_argument("--wait", metavar="FILE")
    arguments.add_argument("--runs", type=int, default=10)
    chosen = arguments.parse_args()
    on_card = chosen.device == "cuda"

    print(json.dumps({
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if on_card else "cpu",
    }), flush=True)
    torch.manual_seed(1)
    policy = Policy(chosen.shape, chosen.device)
    trainers = []
    for mode in chosen.modes:
        for sequences, prompt, new in STEPS[chosen.shape]:
            trainer = Trainer(policy, sequences, prompt, new, mode == "compile")
            warm_up = sum(trainer.step() for _ in range(3)) / 1e3
            trainers.append((mode, sequences, prompt, new, trainer, warm_up))
            del trainer.optimizer  # its moments; made anew before it is timed
    while chosen.wait and not os.path.exists(chosen.wait):
        time.sleep(0.1)
    for mode, sequences, prompt, new, trainer, warm_up in trainers:
        trainer.optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
        for _ in range(3):
            trainer.step()
        if on_card:
            torch.cuda.reset_peak_memory_stats()
        took = [trainer.step() for _ in range(chosen.runs)]
        peak = torch.cuda.max_memory_allocated() if on_card else 0
        del trainer.optimizer
        print(json.dumps({
            "mode": mode, "sequences": sequences, "prompt": prompt, "new": new, "ms": statistics.median(took),
            "least": min(took), "most": max(took), "runs": chosen.runs, "peak": peak,
            "warm_up_s": round(warm_up, 1),
        }), flush=True)


if __name__ == "__main__":
    main()
