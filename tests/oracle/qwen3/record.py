"""Makes the small random Qwen3 folders beside this file and records what Transformers computes.

python record.py [NAME]...      README.md says what is stored and by which versions
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

import reference

HERE = pathlib.Path(__file__).resolve().parent
COMMON = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "model_type": "qwen3",
    "max_position_embeddings": 64,
    "sliding_window": None,
    "use_sliding_window": False,
}
OLD_ROPE = {"rope_theta": 1000000, "rope_scaling": None}


def new_rope(theta):
    return {"rope_parameters": {"rope_theta": theta, "rope_type": "default"}}


def shape(layers, heads, kv_heads, head_dim, hidden, intermediate, vocab, tied, eps=1e-6):
    return {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
        "rms_norm_eps": eps,
    }


# name: config, dtype, number of weight files, seed.
FOLDERS = {
    "odd_untied": (shape(3, 6, 2, 32, 32, 64, 1003, False) | OLD_ROPE, "bfloat16", 1, 11),
    "one_layer_tied": (
        shape(1, 4, 4, 16, 40, 56, 96, True) | new_rope(1000000.0),
        "float32",
        1,
        12,
    ),
    "two_files": (shape(2, 8, 2, 8, 64, 80, 257, False) | OLD_ROPE, "bfloat16", 2, 13),
    "wide_head": (
        shape(2, 2, 1, 64, 24, 40, 129, True, eps=1e-5) | new_rope(500000.0),
        "float32",
        1,
        14,
    ),
    "eight_heads": (shape(2, 8, 8, 16, 48, 64, 200, True) | OLD_ROPE, "bfloat16", 1, 15),
}
LENGTHS = (13, 2, 6)


def random_weights(config, dtype, seed):
    """Weights large enough that every part moves the logits; norm weights around 1."""
    model = Qwen3ForCausalLM(config)
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, value in sorted(model.state_dict().items()):
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("norm.weight"):
            weight = 1 + 0.2 * noise
        elif "embed_tokens" in name:
            weight = 0.5 * noise
        else:
            weight = noise / value.shape[-1] ** 0.5
        weights[name] = weight.to(dtype)
    return weights


def write_folder(folder, content, dtype, files, seed):
    folder.mkdir(exist_ok=True)
    # The newer form also calls the dtype by its newer name.
    key = "dtype" if "rope_parameters" in content else "torch_dtype"
    content = COMMON | content | {key: dtype}
    (folder / "config.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    config = Qwen3Config.from_pretrained(folder)
    config.dtype = torch.float32
    weights = random_weights(config, getattr(torch, dtype), seed)
    if files == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(weights)
    index = {}
    for number in range(files):
        part = names[number * len(names) // files : (number + 1) * len(names) // files]
        file = f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        save_file({n: weights[n] for n in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    size = sum(w.numel() * w.element_size() for w in weights.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=2) + "\n"
    )


def record(name):
    content, dtype, files, seed = FOLDERS[name]
    folder = HERE / name
    write_folder(folder, content, dtype, files, seed)
    generator = torch.Generator().manual_seed(seed + 100)
    sequences = [
        torch.randint(content["vocab_size"], (length,), generator=generator).tolist()
        for length in LENGTHS
    ]
    (folder / "ids.json").write_text(json.dumps(sequences) + "\n")

    out = {}
    exact = reference.load(folder, torch.float32)
    loss, gradients = reference.loss_and_gradients(exact, sequences)
    out["float32.loss"] = loss
    out |= {f"float32.grad.{k}": v for k, v in gradients.items()}
    rounded = reference.load(folder, torch.bfloat16)
    widened = reference.load(folder, torch.bfloat16).float()
    with torch.no_grad():
        full = [reference.logits_of(exact, ids) for ids in sequences]
        half = [reference.logits_of(rounded, ids) for ids in sequences]
        wide = [reference.logits_of(widened, ids) for ids in sequences]
    for i, ids in enumerate(sequences):
        out[f"float32.logits.{i}"] = full[i]
        out[f"float32.logprobs.{i}"] = reference.logprobs_of(full[i], ids)
        out[f"bfloat16.logits.{i}"] = half[i]
        out[f"bfloat16.logprobs.{i}"] = reference.logprobs_of(half[i], ids)
        if dtype == "float32":  # otherwise float32.logits.i is the same
            out[f"bfloat16.exact_logits.{i}"] = wide[i]
        elif not torch.equal(wide[i], full[i]):
            raise SystemExit(f"{name}: the two float32 models of the same weights differ")
    out = {k: v.detach().contiguous() for k, v in out.items()}
    save_file(out, folder / "expected.safetensors")
    largest = max(x.abs().max().item() for x in wide)
    worst, rms = reference.distance(half, wide)
    print(f"| `{name}` | {largest:.3f} | {worst:.4f} | {rms:.4f} | {loss.item():.4f} |")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FOLDERS:
        record(name)
