"""The runs of bench/generator_bench.cpp with Hugging Face Transformers: the shape of Qwen3-0.6B, random
weights, bfloat16, a static cache, eager and under torch.compile(mode="reduce-overhead"), sampling at
temperature 1. The loop is the model's forward and a draw, with nothing of generate()'s own work
between steps; under torch.compile both are one compiled step, and prompts run eagerly, as upstream
advises. Prints one JSON line a configuration, before them one with the versions.

    python3 bench/peers/hf_generate.py >peers.jsonl

Figures are those of generator_bench.cpp: `ms` a run (mean), tokens/s, first_ms, token_* in milliseconds
from one token of a sequence to its next, peak bytes of tensors on the card.
"""

import argparse
import json
import statistics
import time

import torch
import transformers

SHAPES = {
    "0.6B": dict(vocab_size=151936, hidden_size=1024, num_hidden_layers=28, num_attention_heads=16,
                 num_key_value_heads=8, head_dim=128, intermediate_size=3072, max_position_embeddings=4096),
    "tiny": dict(vocab_size=1003, hidden_size=128, num_hidden_layers=4, num_attention_heads=16,
                 num_key_value_heads=8, head_dim=16, intermediate_size=384, max_position_embeddings=4096),
}

# Prompt, sequences, new tokens (eager, compiled), runs. Groups that share a compiled step: its shape is
# the number of sequences and the length of the cache. Eager takes so long a token that few will do.
RUNS = {
    "0.6B": [
        [(16, 1, (64, 2048), 5)],
        [(2048, 1, (64, 256), 5)],
        [(16, 40, (52, 52), 5), (30, 40, (20, 20), 5)],
        [(2048, 40, (52, 52), 2)],
    ],
    "tiny": [
        [(16, 1, (16, 16), 3)],
        [(16, 8, (12, 12), 3), (20, 8, (8, 8), 3)],
    ],
}


def build_model(shape, device):
    config = transformers.Qwen3Config(**SHAPES[shape], tie_word_embeddings=True, attn_implementation="sdpa")
    with torch.device(device):
        model = transformers.Qwen3ForCausalLM(config)
    return model.to(torch.bfloat16).eval()


class Generator:
    """Generates for `sequences` sequences of at most `longest` tokens."""

    def __init__(self, model, longest, compiled):
        self.model = model
        self.cache = transformers.StaticCache(config=model.config, max_cache_len=longest)
        self.step = torch.compile(self.forward, mode="reduce-overhead", fullgraph=True) if compiled else self.forward

    def forward(self, ids):
        logits = self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits
        weights = torch.softmax(logits[:, -1].float(), -1)
        # What torch.multinomial does, without its check on the host, which no CUDA graph can hold.
        return torch.argmax(weights / torch.empty_like(weights).exponential_(1), -1, keepdim=True)

    @torch.no_grad()
    def run(self, prompts, new):
        """The new tokens on the host, [sequences, new]. The cache must have been reset."""
        tokens = [self.forward(prompts)]
        for _ in range(new - 1):
            torch.compiler.cudagraph_mark_step_begin()
            # A replay's output lies where the next replay writes.
            tokens.append(self.step(tokens[-1]).clone())
        return torch.cat(tokens, 1).cpu()


def milliseconds(generator, prompts, new):
    generator.cache.reset()
    if prompts.is_cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    tokens = generator.run(prompts, new)
    took = time.perf_counter() - start
    assert tokens.shape == (prompts.shape[0], new)
    return took * 1e3


def measure(generator, prompts, new, runs):
    warm_up = milliseconds(generator, prompts, 8)
    milliseconds(generator, prompts, 8)
    first, whole = [], []
    for _ in range(runs):
        first.append(milliseconds(generator, prompts, 1))
        whole.append(milliseconds(generator, prompts, new))
    between = [(ms - statistics.median(first)) / (new - 1) for ms in whole]
    return {
        "ms": statistics.mean(whole),
        "tokens/s": 1e3 * prompts.shape[0] * new / statistics.mean(whole),
        "first_ms": statistics.median(first),
        "token_mean": statistics.mean(between),
        "token_sd": statistics.stdev(between),
        "token_median": statistics.median(between),
        "token_least": min(between),
        "token_most": max(between),
        "warm_up_s": round(warm_up / 1e3, 1),
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--shape", choices=SHAPES, default="0.6B")
    arguments.add_argument("--device", default="cuda")
    arguments.add_argument("--modes", nargs="+", choices=["eager", "compile"], default=["eager", "compile"])
    chosen = arguments.parse_args()
    on_card = chosen.device == "cuda"

    print(json.dumps({
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": torch.cuda.get_device_name() if on_card else "cpu",
    }), flush=True)
    torch.manual_seed(1)
    model = build_model(chosen.shape, chosen.device)
    for mode in chosen.modes:
        for group in RUNS[chosen.shape]:
            longest = max(prompt + new[1] for prompt, _, new, _ in group)
            longest = -(-longest // 16) * 16  # aligned rows of the attention mask
            torch.compiler.reset()
            generator = Generator(model, longest, mode == "compile")
            for prompt, sequences, new, runs in group:
                if on_card:
                    torch.cuda.reset_peak_memory_stats()
                prompts = torch.randint(model.config.vocab_size, (sequences, prompt), device=chosen.device)
                tokens = new[mode == "compile"]
                figures = measure(generator, prompts, tokens, runs)
                figures["peak"] = torch.cuda.max_memory_allocated() if on_card else 0
                print(json.dumps({"mode": mode, "prompt": prompt, "sequences": sequences, "new": tokens,
                                  "runs": runs, **figures}), flush=True)
            del generator


if __name__ == "__main__":
    main()
