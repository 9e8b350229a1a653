"""Trains the tiny checkpoint beside this file: tokenizer, then model, from the text of corpus.py.

    python train.py [--out DIR]      about ten minutes of one core; versions in README.md

Everything is seeded and single-threaded. The tokenizer comes out the same everywhere; the weights
do so on machines whose float32 matrix products have the same bits.
"""

import argparse
import json
import math
import pathlib
import random

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers
from transformers import Qwen3Config, Qwen3ForCausalLM

import corpus

SEED = 42
DOCUMENTS = 12000
PLAIN_VOCAB = 1000  # with the special tokens 1,003: not a multiple of 8, so padding is exercised
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ROW, BATCH, STEPS, WARMUP, PEAK_LR = 96, 32, 1100, 50, 3e-3
WEIGHT_DECAY = 0.05

# The pattern of Qwen2's pre-tokenizer, as in its tokenizer.json.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": PLAIN_VOCAB,
    "eos_token_id": PLAIN_VOCAB,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 128,
    "initializer_range": 0.02,
    "intermediate_size": 384,
    "max_position_embeddings": 512,
    "max_window_layers": 4,
    "model_type": "qwen3",
    "num_attention_heads": 16,
    "num_hidden_layers": 4,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": PLAIN_VOCAB + len(SPECIAL),
}

TOKENIZER_CONFIG = {
    "add_bos_token": False,
    "add_prefix_space": False,
    "bos_token": None,
    "clean_up_tokenization_spaces": False,
    "eos_token": SPECIAL[0],
    "errors": "replace",
    "model_max_length": CONFIG["max_position_embeddings"],
    "pad_token": SPECIAL[0],
    "split_special_tokens": False,
    "tokenizer_class": "Qwen2Tokenizer",
    "unk_token": None,
}

GENERATION_CONFIG = {
    "bos_token_id": PLAIN_VOCAB,
    "do_sample": True,
    "eos_token_id": PLAIN_VOCAB,
    "pad_token_id": PLAIN_VOCAB,
    "temperature": 1.0,
}


def make_tokenizer(texts):
    """Byte-level BPE in the form of Qwen2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=False, trim_offsets=False, use_regex=False
    )
    trainer = trainers.BpeTrainer(
        vocab_size=PLAIN_VOCAB,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    plain = [part for text in texts for part in split_specials(text)]
    tokenizer.train_from_iterator(plain, trainer)
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    if tokenizer.get_vocab_size() != CONFIG["vocab_size"]:
        raise SystemExit(f"vocabulary: {tokenizer.get_vocab_size()}, not {CONFIG['vocab_size']}")
    return tokenizer


def split_specials(text):
    """The stretches of `text` between special tokens, which the merges must not see."""
    for special in SPECIAL:
        text = text.replace(special, "\0")
    return [part for part in text.split("\0") if part]


def rows_of_epoch(encoded, rng):
    """Rows of ROW tokens, each beginning with the first token of a document.

    A prompt stands at position 0 with nothing before it, so a document must often stand there too.
    """
    order = list(range(len(encoded)))
    rng.shuffle(order)
    rows, row = [], []
    for index in order:
        row = row + encoded[index]
        if len(row) >= ROW:
            rows.append(row[:ROW])
            row = []
    return rows


def learning_rate(step):
    if step < WARMUP:
        return PEAK_LR * (step + 1) / WARMUP
    done = (step - WARMUP) / (STEPS - WARMUP)
    return PEAK_LR * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def train(model, encoded):
    rng = random.Random(SEED)
    decayed = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0}],
        betas=(0.9, 0.98),
    )
    model.train()
    rows = []
    for step in range(STEPS):
        if len(rows) < BATCH:
            rows = rows_of_epoch(encoded, rng)
        batch, rows = torch.tensor(rows[:BATCH]), rows[BATCH:]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0 or step == STEPS - 1:
            print(f"step {step:4d} of {STEPS}, loss {loss.item():.4f}", flush=True)


def save(model, tokenizer, out):
    tokenizer.save(str(out / "tokenizer.json"))
    for name, content in [
        ("config.json", CONFIG),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
        ("generation_config.json", GENERATION_CONFIG),
    ]:
        text = json.dumps(content, indent=2, sort_keys=True)
        (out / name).write_text(text + "\n", encoding="utf-8")
    weights = {
        name: value.to(torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    save_file(weights, str(out / "model.safetensors"), metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser()
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--out", type=pathlib.Path, default=here, help="folder of the checkpoint")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    texts = corpus.documents(DOCUMENTS, SEED)
    tokenizer = make_tokenizer(texts)
    encoded = [e.ids + [PLAIN_VOCAB] for e in tokenizer.encode_batch(texts)]
    print(f"{len(texts)} documents, {sum(map(len, encoded))} tokens", flush=True)

    model = Qwen3ForCausalLM(Qwen3Config(**{**CONFIG, "torch_dtype": "float32"})).float()
    train(model, encoded)
    save(model, tokenizer, out)


if __name__ == "__main__":
    main()
