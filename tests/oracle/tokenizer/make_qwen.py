#!/usr/bin/env python3
"""Makes Hugging Face tokenizer files of the Qwen vocabulary: make_qwen.py OUT [--tiktoken FILE]

The vocabulary is `resources/qwen.tiktoken` of the PyPI package dashscope, which is downloaded (and
not installed) unless FILE is given. Needs nothing but Python and pip. Writes OUT/tokenizer.json and
OUT/tokenizer_config.json.

The tiktoken file ranks tokens and does not list merges. The merge that made a token is found by
encoding the token's own bytes with all merges of lower rank: two parts are left, and those are it.
"""
import argparse
import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = """<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|>
<|box_start|> <|box_end|> <|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|>
<|vision_pad|> <|image_pad|> <|video_pad|>""".split()
PLAIN = """<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|>
<|repo_name|> <|file_sep|> <tool_response> </tool_response> <think> </think>""".split()


def letters():
    """The printable character that stands for each byte (GPT-2's alphabet)."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        table.setdefault(byte, chr(256 + len(table) - len(plain)))
    return table


def merge_of(token, rank, ranks):
    """The two parts whose merge, of this rank, made the token."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best = min(
            range(len(parts) - 1),
            key=lambda i: ranks.get(parts[i] + parts[i + 1], rank),
        )
        if ranks.get(parts[best] + parts[best + 1], rank) >= rank:
            raise SystemExit(f"token {token!r} of rank {rank} is no merge of lower ranks")
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts


def read_ranks(text):
    ranks = {}
    for line in text.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    return ranks


def download():
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", folder, "dashscope"], check=True)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        return zipfile.ZipFile(wheel).read("dashscope/resources/qwen.tiktoken").decode()


def tokenizer_of(ranks):
    alphabet = letters()
    name = {token: "".join(alphabet[byte] for byte in token) for token in ranks}
    by_rank = sorted(ranks, key=ranks.get)
    merges = [
        [name[part] for part in merge_of(token, ranks[token], ranks)]
        for token in by_rank
        if len(token) > 1
    ]
    added = [
        {"id": len(ranks) + i, "content": content, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False, "special": content in SPECIAL}
        for i, content in enumerate(SPECIAL + PLAIN)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                  "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated",
             "invert": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False,
                  "vocab": {name[token]: ranks[token] for token in by_rank}, "merges": merges},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tiktoken", type=pathlib.Path)
    arguments = parser.parse_args()
    text = arguments.tiktoken.read_text() if arguments.tiktoken else download()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer = json.dumps(tokenizer_of(read_ranks(text)), ensure_ascii=False)
    (arguments.out / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    (arguments.out / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}\n')


if __name__ == "__main__":
    main()
