#!/usr/bin/env python3
"""Records what the `tokenizers` library gives for 1,000 hard strings: record.py QWEN_FOLDER

QWEN_FOLDER is what make_qwen.py made. Writes, beside this script:

  small.json     a tokenizer trained here, on the sentences below
  strings.json   the strings, and lists of ids that are no tokenisation of any text
  ids-NAME.json  for each tokenizer: a JSON merge patch (RFC 7396) that makes it from small.json,
                 the ids of each string (of the first 200 for the split variants), the decoded
                 texts that differ from the string, and the texts of the odd lists of ids

The library's version is written into each file. Strings hold only characters that Unicode 14 knows:
a younger character may be of another class in PCRE2 than in the library's Oniguruma. They hold no
combining mark younger than Unicode 12 (U+1ABF and on): the library's NFC does not know them.
"""
import json
import pathlib
import random
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_PATTERN = PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
SENTENCES = """
The capital of France is Paris, and the capital of Japan is Tokyo.
What is 7 times 8? It is 56; 12 times 12 is 144, and 1024 times 1024 is 1048576.
It's true that they're here, I'd say we've won, you'll see, I'm sure, don't they?
Water boils at 100 degrees; the chemical symbol for water is H2O.
def add(first, second):\n    return first + second\n\n\n\tif (x == 0) { y[i] += 1; }\r\n
Die Straße über den Fluß führt nach Köln; Übermut tut selten gut.
L'été dernier, le garçon a mangé des crêpes à la fête de Noël.
El niño pequeño comió jalapeños mañana por la mañana.
Столица России — Москва, а столица Украины — Киев.
Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.
日本の首都は東京です。中国的首都是北京。대한민국의 수도는 서울입니다.
القاهرة هي عاصمة مصر. ירושלים היא עיר עתיקה.
नई दिल्ली भारत की राजधानी है। กรุงเทพเป็นเมืองหลวงของประเทศไทย
The the the there their theme other mother another, and and and hand sand land.
🙂 🙃 👍🏽 👩‍👩‍👧‍👦 🇫🇷 🏳️‍🌈 ❤️
"""
SCRIPTS = [  # first and last code points of blocks
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF),
    (0x400, 0x52F), (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x7BF),
    (0x900, 0x97F), (0x980, 0x9FF), (0xA00, 0xAFF), (0xB00, 0xBFF), (0xC00, 0xD7F),
    (0xE00, 0xEFF), (0xF00, 0xFFF), (0x1000, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F),
    (0x13A0, 0x13FF), (0x1780, 0x18AF), (0x1AB0, 0x1ABE), (0x1D00, 0x1DFF), (0x1E00, 0x1FFF),
    (0x2000, 0x206F), (0x2070, 0x20CF), (0x20D0, 0x20FF), (0x2100, 0x218F), (0x2190, 0x23FF),
    (0x2460, 0x27BF), (0x2E80, 0x2FDF), (0x3000, 0x30FF), (0x3130, 0x33FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xF900, 0xFAFF),
    (0xFB00, 0xFDFF), (0xFE00, 0xFEFF), (0xFF00, 0xFFEF), (0x10000, 0x1013F), (0x10300, 0x103DF),
    (0x11000, 0x110CF), (0x12000, 0x120FF), (0x1D100, 0x1D1FF), (0x1D400, 0x1D7FF),
    (0x1F000, 0x1F2FF), (0x1F300, 0x1F64F), (0x1F680, 0x1F9FF), (0x20000, 0x2011F),
    (0x2F800, 0x2FA1D), (0xE0000, 0xE01EF),
]
SPACES = list(
    " \t\n\r\v\f\x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
MARKS = ["\u0301", "\u0300", "\u0323", "\u0345", "\u0327", "\u035c", "\u094d", "\u05b0", "\u0334"]
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "<|left|>", "<|right|>",
          "<|both|>", "word", "éclair", "<|im_"]


def edge_strings():
    yield from ["", " ", "  ", "\n", "\r\n", "\n\n\n", "\t", "\x00", "\x7f", "a", "é", "e\u0301"]
    yield from ["\u1e9b\u0323", "\u212b", "\u2126", "\uac00", "\u1100\u1161\u11a8", "\ufb01", "ǆ"]
    yield from ["\u0958", "\u2adc", "\U0002f800", "\U0001d15e", "\u0344", "a\u0301\u0323\u0327"]
    yield from ["'s 'S 'ſ 'LL 'lL 'RE 're'VE", "can't CAN'T canʼt can’t", "''s'''t", "I'd've"]
    yield from ["1", "12", "123", "1234567890", "3.14159", "1,000,000", "٣٤٥", "一二三", "½²Ⅷ", "𝟏𝟐𝟑"]
    yield from ["a\r\nb", "a\n\rb", "\r\r\n\n", " \n \n ", "x \n", "x  \n  y", "\n x", "  x", "x  "]
    yield from ["a\u200db", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇩🇪", "👍🏽", "☝🏿", "1️⃣", "\u200d\u200d", "\ufe0f"]
    yield from ["<|im_start|>user\nhi<|im_end|>\n", "<|im_end|><|im_end|>", "a<|im_end|>b"]
    yield from ["<|im_end", "|im_end|>", "<|im_<|im_end|>", "<|im_end|", "<<|im_end|>>"]
    yield from ["a <|left|> b", "a  \n<|left|>b", "a <|right|>  b", "a <|both|> b", "<|both|>  <|both|>"]
    yield from ["<|right|> <|left|>", "<|right|>\u3000\n<|left|> ", "word", "sword", "words", "a word!"]
    yield from ["word_", "_word", "wordword", "wörd word", "word\u0301", "\u0301word", "9word", "word-word"]
    yield from ["éclair", "e\u0301clair", "an éclair, an e\u0301clair", "éclair\u0323", "Éclair"]
    yield from ["\ufffd", "\uffff", "\U0010ffff", "\ue000", "\u00ad", "\u2060", "\ufeffBOM"]
    yield from ["Ġ", "Ċ", "âĢľ", "Ãł", "ĠĠ Ġthe", "Ł"]
    yield from ["a" * 300, "ab" * 150, " " * 300, "\n" * 100, "the " * 60, "é" * 60, "字" * 60]
    yield from ["\u0301" * 60, "a" + "\u0301\u0323" * 40, "0" * 101, "-=" * 50, "😀" * 30]
    yield from ["https://example.org/a_b?c=d&e=%20#f", "user@example.org", "C:\\dir\\file.txt"]
    yield from ['{"key": [1, 2.5e-3, null, "\\n"]}', "if(a&&b||!c){return~d^e;}", "x=y<<2>>>1;"]
    yield from SENTENCES.strip().split("\n")


def random_character(rng):
    first, last = rng.choice(SCRIPTS)
    while True:
        character = chr(rng.randint(first, last))
        if unicodedata.category(character) not in ("Cn", "Cs"):
            return character


def random_string(rng):
    kind = rng.randrange(8)
    size = rng.randint(1, 24)
    if kind == 0:  # anything
        return "".join(random_character(rng) for _ in range(size))
    if kind == 1:  # one script, with spaces
        first, last = rng.choice(SCRIPTS)
        letters = [chr(c) for c in range(first, last + 1) if unicodedata.category(chr(c)) != "Cn"]
        return "".join(rng.choice(letters + [" "] * (len(letters) // 6)) for _ in range(size))
    if kind == 2:  # white space among letters
        return "".join(rng.choice(SPACES + list("ab1.")) for _ in range(size))
    if kind == 3:  # combining marks in any order
        return "".join(rng.choice(MARKS + list("aeo ") + ["\u1100\u1161", "か"]) for _ in range(size))
    if kind == 4:  # control and other odd characters
        return "".join(chr(rng.choice([*range(32), *range(0x7E, 0xA1), 0xAD])) for _ in range(size))
    if kind == 5:  # added tokens and pieces of them
        parts = TOKENS + [" ", "\n", "a", "é", "ord", "|>", "<|"]
        return "".join(rng.choice(parts) for _ in range(size // 3 + 1))
    words = SENTENCES.split()
    if kind == 6:  # words cut anywhere
        return " ".join(rng.choice(words)[rng.randint(0, 2) :] for _ in range(size // 2 + 1))
    return "".join(rng.choice(list("0123456789.,'eE+- ")) for _ in range(size))


def strings():
    rng = random.Random(20260401)
    found = dict.fromkeys(edge_strings())
    while len(found) < 1000:
        found[random_string(rng)] = None
    return list(found)


def trained():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(
        SENTENCES.strip().split("\n"),
        trainers.BpeTrainer(vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                            show_progress=False),
    )
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([
        AddedToken("<think>", normalized=False), AddedToken("<|im_", normalized=False),
        AddedToken("<|left|>", lstrip=True, normalized=False, special=True),
        AddedToken("<|right|>", rstrip=True, normalized=False),
        AddedToken("<|both|>", lstrip=True, rstrip=True, normalized=True),
        AddedToken("word", single_word=True, normalized=True),
        AddedToken("éclair", normalized=True),
    ])
    return tokenizer


def patches(small):
    """The other kinds of tokenizer, as changes of the trained one."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": False}
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "<|im_end|>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [small.token_to_id(name)], "tokens": [name]}
            for name in ("<|im_start|>", "<|im_end|>")
        },
    }
    merges = json.loads(small.to_str())["model"]["merges"]

    def split(pattern, behavior, invert=False):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}

    def sequence(*splits):
        return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [*splits, byte_level]}}

    yield "small", {}
    yield "gpt2", {
        "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                          "use_regex": True, "pretokenizers": None},
        "model": {"merges": [" ".join(merge) for merge in merges]},
    }
    yield "llama3", {
        **sequence(split({"Regex": LLAMA_PATTERN}, "Isolated")),
        "normalizer": None,
        "post_processor": {"type": "Sequence", "processors": [byte_level, template],
                           "add_prefix_space": None, "trim_offsets": None, "use_regex": None},
        "model": {"ignore_merges": True, "merges": merges[:200]},
    }
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"split-{behavior}", sequence(split({"Regex": r"\p{N}{2,3}|[\p{P}\s]"}, behavior))
    yield "split-invert", sequence(split({"Regex": r"\p{L}+|\p{Han}?|\d"}, "Removed", True),
                                   split({"String": "a.b"}, "Isolated"),
                                   split({"String": "e"}, "MergedWithPrevious", True))


def merged(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def write(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (HERE / name).write_text(text + "\n")
    print(f"{name}: {len(text) / 1024:.0f} KiB")


def recorded(tokenizer, texts, odd_ids):
    ids = [tokenizer.encode(text).ids for text in texts]
    decoded = {}
    skipped = {}
    for i, text in enumerate(texts):
        whole = tokenizer.decode(ids[i], skip_special_tokens=False)
        short = tokenizer.decode(ids[i], skip_special_tokens=True)
        if whole != text:
            decoded[i] = whole
        if short != whole:
            skipped[i] = short
    size = tokenizer.get_vocab_size()
    lists = [[number % size for number in numbers] for numbers in odd_ids]
    return {"tokenizers": tokenizers.__version__, "ids": ids, "decoded": decoded,
            "skipped": skipped, "odd": [tokenizer.decode(numbers) for numbers in lists]}


def main():
    texts = strings()
    rng = random.Random(7)
    odd_ids = [[rng.randrange(1 << 20) if rng.randrange(3) else rng.randrange(256)
                for _ in range(rng.randint(1, 12))] for _ in range(200)]
    write("strings.json", {"strings": texts, "odd_ids": odd_ids})
    small = trained()
    base = json.loads(small.to_str())
    write("small.json", base)
    for name, patch in patches(small):
        tokenizer = Tokenizer.from_str(json.dumps(merged(base, patch)))
        some = texts[:200] if name.startswith("split-") else texts
        write(f"ids-{name}.json", {"patch": patch, **recorded(tokenizer, some, odd_ids)})
    qwen = Tokenizer.from_file(str(pathlib.Path(sys.argv[1]) / "tokenizer.json"))
    write("ids-qwen.json", recorded(qwen, texts, odd_ids))


if __name__ == "__main__":
    main()
