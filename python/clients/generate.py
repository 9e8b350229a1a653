"""A program as its owner has it, with no recorder: Transformers' Qwen3 generates greedily for one sequence.

    python generate.py MODEL [--device cuda|cpu] [--compile MODE] [--tokens N] [--plant SEED]

MODEL is a folder, or 0.6B: the shape of Qwen3-0.6B with random weights. The prompt runs eagerly, as upstream advises;
a token is a call of the model, compiled with --compile MODE. Prints the tokens, a hash of all logits, and how often a
CUDA graph was replayed. --plant moves an element of one operator in one layer of the compiled program by one ULP, and
says which.
"""

import argparse
import hashlib
from typing import Any

import planted
import torch
import transformers

PROMPT, ROOM = 12, 512  # tokens of the prompt, and that the cache has room for
SHAPE = {
    "vocab_size": 151936,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 3072,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


def model_of(name: str, device: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name != "0.6B":
        model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=torch.bfloat16)
        return model.to(device).eval()
    with torch.device(device):
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SHAPE))
    return model.to(torch.bfloat16).eval()


def empty_cache(model: torch.nn.Module) -> transformers.StaticCache:
    return transformers.StaticCache(config=model.config, max_cache_len=ROOM)


def prompt_for(model: torch.nn.Module, device: str) -> torch.Tensor:
    ids = torch.randint(0, model.config.vocab_size, (1, PROMPT), generator=torch.Generator().manual_seed(1))
    return ids.to(device)


def next_logits(forward: torch.nn.Module, ids: torch.Tensor, cache: transformers.StaticCache) -> torch.Tensor:
    """Of the token that follows `ids`, [1, vocabulary]; a copy, as a replay writes where the one before did."""
    torch.compiler.cudagraph_mark_step_begin()
    out = forward(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[:, -1].clone()


@torch.no_grad()
def generate(model: torch.nn.Module, forward: torch.nn.Module, ids: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The logits of `count` tokens, each the most probable one."""
    cache = empty_cache(model)
    found = [next_logits(model, ids, cache)]
    while len(found) < count:
        found.append(next_logits(forward, found[-1].argmax(-1, keepdim=True), cache))
    return found


def count_replays() -> list[Any]:
    """From here on, the graph of each replay."""
    replays: list[Any] = []
    kind: Any = torch.cuda.CUDAGraph
    original = kind.replay

    def replay(graph: Any) -> None:
        replays.append(graph)
        original(graph)

    kind.replay = replay
    return replays


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", default="")
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--plant", type=int)
    flags = parser.parse_args()
    model = model_of(flags.model, flags.device)
    forward = torch.compile(model, mode=flags.compile, fullgraph=True) if flags.compile else model
    replays = count_replays()
    with planted.one_ulp(flags.plant):
        found = generate(model, forward, prompt_for(model, flags.device), flags.tokens)
    print("tokens", *[each.argmax().item() for each in found])
    logits = torch.cat(found).float().cpu().numpy().tobytes()
    print("logits", hashlib.sha256(logits).hexdigest()[:16])
    print("replays", len(replays))


if __name__ == "__main__":
    main()
