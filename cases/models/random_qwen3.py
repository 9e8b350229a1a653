"""Writes a Hugging Face folder of the shape of Qwen3-0.6B with random weights: bits do not care, and
times hardly.

    python3 cases/models/random_qwen3.py TOKENIZER OUT

TOKENIZER: a folder with tokenizer.json and tokenizer_config.json, such as the one that
tests/oracle/tokenizer/make_qwen.py makes. Needs numpy. The same seed gives the same file.
"""

import json
import pathlib
import shutil
import struct
import sys

import numpy as np

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 4096,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}


def shapes():
    hidden, heads, kv_heads, dim, wide = 1024, 16, 8, 128, 3072
    yield "model.embed_tokens.weight", (CONFIG["vocab_size"], hidden)
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "self_attn.q_proj.weight", (heads * dim, hidden)
        yield at + "self_attn.k_proj.weight", (kv_heads * dim, hidden)
        yield at + "self_attn.v_proj.weight", (kv_heads * dim, hidden)
        yield at + "self_attn.o_proj.weight", (hidden, heads * dim)
        yield at + "self_attn.q_norm.weight", (dim,)
        yield at + "self_attn.k_norm.weight", (dim,)
        yield at + "post_attention_layernorm.weight", (hidden,)
        yield at + "mlp.gate_proj.weight", (wide, hidden)
        yield at + "mlp.up_proj.weight", (wide, hidden)
        yield at + "mlp.down_proj.weight", (hidden, wide)
    yield "model.norm.weight", (hidden,)


def bfloat16(values):
    """Rounded to nearest even; none is a NaN."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def main():
    tokenizer, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    header, offset = {}, 0
    for name, shape in shapes():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0)
    with open(out / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in shapes():
            if len(shape) == 1:
                values = np.ones(shape, np.float32)
            else:
                values = 0.02 * random.standard_normal(shape, np.float32)
            file.write(bfloat16(values).tobytes())
    (out / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (out / "generation_config.json").write_text('{"eos_token_id": [151645, 151643]}\n')
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, out / name)


main()
