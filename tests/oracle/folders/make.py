"""Writes the forms of forms.py and records what Transformers makes of each: python make.py

    pip install torch==2.11.0 transformers==5.24.0       README.md says what reference.json holds
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import warnings

import tokenizers
import torch
import transformers

import forms

HERE = pathlib.Path(__file__).resolve().parent
SEQUENCES = [[5, 9], [1, 2, 3, 200, 31, 7, 7, 7, 90, 12, 44, 250, 3, 18, 77, 61, 5, 99, 140, 33]]
PROMPT = [40, 41, 42]
NEW_TOKENS = 8
STRINGS = [
    "the heath in 1212", "I'd say it's 3,456.78!", "  two\n\n\tlines \r\n", "Cafe\u0301 Café fia\u0301nce\u0301",
    "naïve 日本語 한국어 😀 ½²", "<|im_start|>user\nok<|im_end|>\n", "a <|im_end|>  b",
    "a<|audio|>b <|stop|>", "<|endoftext|><|endoftext|>", "<think>\nhm</think>", "ok okay ok", " <|a|> then",
]  # fmt: skip


def quiet():
    return contextlib.redirect_stderr(io.StringIO())


def logprobs_of(model):
    """The log-softmax at every position, and the entries of the next tokens."""
    whole, taken = [], []
    for ids in SEQUENCES:
        x = torch.tensor([ids])
        logprobs = model(x, use_cache=False).logits[0].log_softmax(-1)
        whole.append(logprobs)
        taken.append(logprobs[:-1].gather(1, x[0, 1:, None])[:, 0])
    return torch.cat(whole), torch.cat(taken)


def of_model(path):
    load = transformers.AutoModelForCausalLM.from_pretrained
    options = {"attn_implementation": "eager", "output_loading_info": True}
    model, info = load(path, dtype=torch.float32, **options)
    lost = {key: sorted(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[key]}
    if lost:  # it makes up what is missing, and drops what is left over
        return {"refused": f"loads with {json.dumps(lost)}"[:160]}
    exact, _ = load(path, dtype=torch.float64, **options)
    with torch.no_grad():
        own, taken = logprobs_of(model.eval())
        better, _ = logprobs_of(exact.eval())
        if not own.isfinite().all():
            return {"refused": "gives values that are not finite"}
        output = model.generate(torch.tensor([PROMPT]), max_new_tokens=NEW_TOKENS, do_sample=False)
    return {
        "logprobs": [float(x) for x in taken],
        "distance": float((own.double() - better).abs().max()),
        "greedy": output[0, len(PROMPT) :].tolist(),
    }


def of_tokenizer(path):
    if forms.SAID.get(path.name) == forms.AS_IT_STANDS:
        file = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        return {"ids": [file.encode(text).ids for text in STRINGS]}
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return {"ids": [tokenizer(text)["input_ids"] for text in STRINGS]}


def look(path):
    found = {}
    for part in (of_model, of_tokenizer):
        try:
            with quiet(), warnings.catch_warnings(action="ignore"):
                found |= part(path)
        except Exception as error:
            line = (str(error).splitlines() or [""])[0].replace(f"{path}", "FOLDER")
            found["refused"] = f"{type(error).__name__}: {line}"[:160]
    return found


def number_of(results, result):
    if result not in results:
        results.append(result)
    return results.index(result)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    models, ids, recorded = [], [], {}
    with tempfile.TemporaryDirectory() as out:
        forms.main(pathlib.Path(out))
        for name in forms.FORMS:
            found = look(pathlib.Path(out, name))
            entry = {"refused": found["refused"]} if "refused" in found else {}
            if "logprobs" in found:
                entry["model"] = number_of(models, {k: found[k] for k in ("logprobs", "distance", "greedy")})
            if "ids" in found:
                entry["ids"] = number_of(ids, found["ids"])
            recorded[name] = entry
            print(f"{name:46s} {json.dumps(entry)}", flush=True)
    reference = {
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                     "tokenizers": tokenizers.__version__},
        "sequences": SEQUENCES, "prompt": PROMPT, "new_tokens": NEW_TOKENS, "strings": STRINGS,
        "models": models, "ids": ids, "forms": recorded,
    }  # fmt: skip
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in reference.items()]
    (HERE / "reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
