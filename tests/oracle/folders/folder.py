"""A tiny random Qwen3 folder as plain values, and how it is written; needs no library.

Every number comes from a counter and SHA-256, so that any machine writes the same bytes.
"""

import hashlib
import json
import math
import pathlib
import struct

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 261,
    "eos_token_id": 261,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "max_window_layers": 2,
    "model_type": "qwen3",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "transformers_version": "4.51.0",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 288,
}
ABSENT = object()


def changed(values, **changes):
    """A copy with some keys changed; ABSENT takes one out."""
    return {k: v for k, v in {**values, **changes}.items() if v is not ABSENT}


def uniform(seed, count):
    """`count` numbers in (-1, 1): odd multiples of 2^-16."""
    numbers = []
    block = 0
    while len(numbers) < count:
        digest = hashlib.sha256(f"{seed} {block}".encode()).digest()
        numbers += [(2 * n - 65535) / 65536 for n in struct.unpack("<16H", digest)]
        block += 1
    return numbers[:count]


class Tensor:
    def __init__(self, shape, numbers, dtype="F32"):
        self.shape, self.numbers, self.dtype = list(shape), list(numbers), dtype

    def to(self, dtype):
        return Tensor(self.shape, self.numbers, dtype)

    def bytes(self):
        if self.dtype == "BF16":
            words = [struct.unpack("<I", struct.pack("<f", n))[0] for n in self.numbers]
            halves = [(w + 0x7FFF + (w >> 16 & 1)) >> 16 for w in words]
            return struct.pack(f"<{len(halves)}H", *halves)
        letter = {"F32": "f", "F16": "e", "F64": "d", "I64": "q", "U8": "B", "F8_E4M3": "B"}[self.dtype]
        values = self.numbers if letter in "fed" else map(int, self.numbers)
        return struct.pack(f"<{len(self.numbers)}{letter}", *values)


def weights(config, seed=0):
    """Large enough that every part moves the logits; norm weights around 1."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config["head_dim"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name, shape in (
            ("self_attn.q_proj", (q, hidden)), ("self_attn.k_proj", (kv, hidden)),
            ("self_attn.v_proj", (kv, hidden)), ("self_attn.o_proj", (hidden, q)),
            ("mlp.gate_proj", (inner, hidden)), ("mlp.up_proj", (inner, hidden)),
            ("mlp.down_proj", (hidden, inner)), ("input_layernorm", (hidden,)),
            ("post_attention_layernorm", (hidden,)), ("self_attn.q_norm", (head,)),
            ("self_attn.k_norm", (head,)),
        ):  # fmt: skip
            shapes[f"{layer}{name}.weight"] = shape
    shapes["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    tensors = {}
    for name, shape in shapes.items():
        numbers = uniform(f"{seed} {name}", math.prod(shape))
        if len(shape) == 1:
            numbers = [1 + n / 2 for n in numbers]
        elif "_proj" in name:
            scale = 4 / shape[1] ** 0.5
            numbers = [n * scale for n in numbers]
        tensors[name] = Tensor(shape, numbers)
    return tensors


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, tensor in tensors.items():
        raw = tensor.bytes()
        header[name] = {
            "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [len(data), len(data) + len(raw)],
        }  # fmt: skip
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def letters():
    """GPT-2's letters of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = [("h", "e"), ("t", "he"), ("Ġ", "the"), ("1", "2"), ("i", "n")]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}


def token(content, number=None, **flags):
    entry = {
        "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        "special": not content.endswith("think>"), **flags,
    }  # fmt: skip
    return entry if number is None else {"id": number, **entry}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def tokenizer(special=SPECIAL, steps=None, model=None, **changes):
    """256 bytes, five merges (ids 256 to 260), then the special tokens from id 261."""
    vocab = {letter: b for b, letter in letters().items()}
    for left, right in MERGES:
        vocab[left + right] = len(vocab)
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [token(c, len(vocab) + i) for i, c in enumerate(special)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*(steps or [split(PATTERN)]), BYTE_LEVEL]},
        "post_processor": BYTE_LEVEL,
        "decoder": BYTE_LEVEL,
        "model": changed(
            {
                "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                "vocab": vocab, "merges": [list(pair) for pair in MERGES],
            },
            **(model or {}),
        ),
    }  # fmt: skip
    return changed(whole, **changes)


TOKENIZER_CONFIG = {
    "add_bos_token": False,
    "add_prefix_space": False,
    "bos_token": None,
    "clean_up_tokenization_spaces": False,
    "eos_token": "<|endoftext|>",
    "errors": "replace",
    "model_max_length": 128,
    "pad_token": "<|endoftext|>",
    "split_special_tokens": False,
    "tokenizer_class": "Qwen2Tokenizer",
    "unk_token": None,
}


class Folder:
    """What will be written: `files` by name, each JSON, text or bytes; `tensors` as model.safetensors."""

    def __init__(self, **config):
        self.config = changed(CONFIG, **config)
        shapes = {k: v for k, v in config.items() if isinstance(v, int)}
        self.tensors = weights(changed(CONFIG, **shapes))
        self.files = {"tokenizer.json": tokenizer(), "tokenizer_config.json": dict(TOKENIZER_CONFIG)}
        self.metadata = {"format": "pt"}

    def write(self, path):
        path = pathlib.Path(path)
        path.mkdir(parents=True, exist_ok=True)
        files = {"config.json": self.config, **self.files}
        if self.tensors:
            files["model.safetensors"] = safetensors(self.tensors, self.metadata)
        for name, content in files.items():
            if content is None:
                continue
            file = path / name
            file.parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                text = content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False)
                file.write_text(text, encoding="utf-8")
