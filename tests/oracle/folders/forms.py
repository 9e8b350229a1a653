"""Forms in which model folders are found, written from seeds alone: python3 forms.py OUT

Beside a folder for each form, OUT gets forms.json: what samebits says of it. `refused` is a part of the
line with which it refuses the folder; where that is empty, it reads the folder as Transformers does,
and says `said` on the way, if anything.
"""

import json
import pathlib
import sys

import folder
from folder import ABSENT, BYTE_LEVEL, CONFIG, Folder, Tensor, changed, split, token, tokenizer, uniform

FORMS = {}  # name: (function that makes a Folder, what a refusal says)
SAID = {}  # name: a part of what is said on the way
# Forms of which the ids are those of the file as it stands: of Transformers' tokenizers library.
AS_IT_STANDS = "is read as it stands"


def form(name, refused=""):
    def keep(function):
        FORMS[name] = (function, refused)
        return function

    return keep


def config_form(name, refused="", **changes):
    FORMS[name] = (lambda: Folder(**changes), refused)


def files_form(name, refused="", **files):
    """Files added or changed; in a name, two underscores stand for a dot."""

    def make():
        made = Folder()
        made.files.update({k.replace("__", "."): v for k, v in files.items()})
        return made

    FORMS[name] = (make, refused)


# ---- Numbers, shapes and defaults ----
config_form("plain")
config_form("wide-head", head_dim=32)
config_form("one-kv-head", num_key_value_heads=1)
config_form("eps-large", rms_norm_eps=1e-3)
config_form("eps-absent", rms_norm_eps=ABSENT)
config_form("activation-absent", hidden_act=ABSENT)
config_form("activation-swish", hidden_act="swish")
config_form("activation-gelu", "hidden_act", hidden_act="gelu")
config_form("kv-heads-absent", "num_key_value_heads", num_key_value_heads=ABSENT)
config_form("head-dim-null", "head_dim", head_dim=None)
config_form("head-dim-float", "head_dim", head_dim=16.0)
config_form("head-dim-odd", "head_dim", head_dim=15)
config_form("attention-bias", "attention_bias", attention_bias=True)
config_form("attention-dropout", "attention_dropout", attention_dropout=0.1)
config_form("without-architectures", architectures=ABSENT)
config_form("classifier", "architectures", architectures=["Qwen3ForSequenceClassification"], num_labels=2)
config_form("other-model-type", "model_type", model_type="qwen3_moe", num_experts=4)
config_form("bidirectional", "is_causal", is_causal=False)
config_form("tied", tie_word_embeddings=True)


@form("kv-heads-null")
def _():
    made = Folder(num_key_value_heads=4)
    made.config["num_key_value_heads"] = None
    return made


@form("head-dim-absent-128")
def _():
    made = Folder(head_dim=128)
    del made.config["head_dim"]
    return made


@form("head-dim-absent-quotient", "q_proj")
def _():
    made = Folder(head_dim=8)
    del made.config["head_dim"]
    return made


@form("rounded-up-vocabulary", "embed_tokens")
def _():
    made = Folder(vocab_size=320)
    made.config["vocab_size"] = 288
    return made


@form("tied-key-absent", "lm_head.weight")
def _():
    made = Folder(tie_word_embeddings=True)
    del made.config["tie_word_embeddings"]
    return made


@form("config-names-nothing-but-shapes")
def _():
    made = Folder()
    kept = ("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_key_value_heads", "head_dim")  # fmt: skip
    made.config = {k: CONFIG[k] for k in kept}
    return made


# ---- Keys without effect, and keys that nobody knows ----
config_form(
    "bookkeeping-keys", _name_or_path="/somewhere/else", unsloth_version="2026.1", pad_token_id=262, dtype="bfloat16",
    id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}, output_attentions=False, return_dict=True,
    is_encoder_decoder=False, chunk_size_feed_forward=0, problem_type=None, quantization_config=None,
)  # fmt: skip
config_form("other-families-keys", final_logit_softcapping=30.0, attn_logit_softcapping=50.0, logits_scaling=2.0)
config_form("generation-keys-in-config", temperature=0.7, top_k=20, max_length=20, do_sample=False)
config_form("penalty-in-config", "repetition_penalty", repetition_penalty=1.5)
config_form("unknown-key", "attention_sink_size", attention_sink_size=4)
config_form("typing-error", "rope_thetta", rope_thetta=5e4)
config_form("quantization-over-plain-weights", "quantization_config",
            quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]})  # fmt: skip
config_form("own-code", "auto_map", auto_map={"AutoModelForCausalLM": "modeling.Own"})
config_form("layer-overrides", "per_layer_config", per_layer_config={"0": {"intermediate_size": 48}})

# ---- RoPE ----
ROPE = {"rope_theta": ABSENT, "rope_scaling": ABSENT}
YARN = {"factor": 4.0, "original_max_position_embeddings": 64}
config_form("theta-absent", rope_theta=ABSENT)
config_form("theta-other", rope_theta=5e5)
config_form("rope-scaling-default", rope_scaling={"rope_type": "default"})
config_form("rope-scaling-default-old-name", rope_scaling={"type": "default"})
config_form("rope-scaling-empty", rope_scaling={})
config_form("rope-parameters", **ROPE, rope_parameters={"rope_type": "default", "rope_theta": 5e4})
config_form("rope-parameters-null", rope_parameters=None)
config_form("rope-parameters-empty", rope_parameters={})
config_form("rope-parameters-without-type", **ROPE, rope_parameters={"rope_theta": 5e4})
config_form("rope-parameters-without-theta", rope_theta=1e6, rope_scaling=ABSENT,
            rope_parameters={"rope_type": "default"})  # fmt: skip
config_form("rope-theta-in-two-places", rope_theta=1e6, rope_scaling=ABSENT,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4})  # fmt: skip
config_form("rope-in-two-objects", rope_theta=1e6, rope_scaling={"rope_type": "default", "rope_theta": 2e4},
            rope_parameters={"rope_type": "default", "rope_theta": 4e4})  # fmt: skip
config_form("rope-partial", **ROPE,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5})  # fmt: skip
config_form("rope-partial-at-the-top", partial_rotary_factor=0.5)
config_form("yarn", "rope_scaling.rope_type", rope_scaling={"rope_type": "yarn", **YARN})
config_form("yarn-old-name", "rope_scaling.type", rope_scaling={"type": "yarn", **YARN})
config_form("yarn-in-parameters", "rope_parameters.rope_type", **ROPE,
            rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, **YARN})  # fmt: skip
config_form("yarn-in-parameters-old-name", "rope_parameters.type", **ROPE,
            rope_parameters={"type": "yarn", "rope_theta": 1e4, **YARN})  # fmt: skip
config_form("rope-linear", "rope_type", rope_scaling={"rope_type": "linear", "factor": 2.0})
config_form("rope-dynamic", "rope_type", rope_scaling={"rope_type": "dynamic", "factor": 2.0})
config_form("rope-by-layer-type", "rope_parameters.full_attention", **ROPE, rope_parameters={
    "full_attention": {"rope_type": "default", "rope_theta": 1e4}})  # fmt: skip
config_form("rope-sections", "mrope_section",
            rope_scaling={"rope_type": "default", "mrope_section": [4, 2, 2]})  # fmt: skip

# ---- Windows ----
SLIDING, FULL = "sliding_attention", "full_attention"
config_form("window-not-used", sliding_window=8, use_sliding_window=False)
config_form("window-beyond-the-last-layer", sliding_window=8, use_sliding_window=True, max_window_layers=2)
config_form("window-used-but-null", sliding_window=None, use_sliding_window=True, max_window_layers=0)
config_form("window-used", "use_sliding_window", sliding_window=8, use_sliding_window=True, max_window_layers=0)
config_form("window-size-absent", "use_sliding_window", sliding_window=ABSENT, use_sliding_window=True,
            max_window_layers=1)  # fmt: skip
config_form("layer-types-full", layer_types=[FULL, FULL])
config_form("layer-types-old-name", layer_types=["attention", FULL])
config_form("layer-types-sliding", "layer_types.0", sliding_window=8, use_sliding_window=True,
            layer_types=[SLIDING, FULL])  # fmt: skip
config_form("layer-types-sliding-only-there", "layer_types.0", sliding_window=8, use_sliding_window=ABSENT,
            layer_types=[SLIDING, FULL])  # fmt: skip
config_form("layer-types-full-beside-a-window", sliding_window=8, use_sliding_window=True, max_window_layers=0,
            layer_types=[FULL, FULL])  # fmt: skip
config_form("layer-types-too-few", "layer_types", layer_types=[FULL])
config_form("layer-types-unknown", "layer_types.1", layer_types=[FULL, "global_attention"])


# ---- Weights: files ----
def index(parts):
    return {"metadata": {"total_size": 1}, "weight_map": {n: file for file, part in parts.items() for n in part}}


def in_two(tensors, prefix="model"):
    names = sorted(tensors)
    half = len(names) // 2
    return {
        f"{prefix}-00001-of-00002.safetensors": {n: tensors[n] for n in names[:half]},
        f"{prefix}-00002-of-00002.safetensors": {n: tensors[n] for n in names[half:]},
    }


def put_shards(made, parts, index_json=None):
    made.files.update({name: folder.safetensors(part) for name, part in parts.items()})
    made.files["model.safetensors.index.json"] = index_json or index(parts)


@form("sharded")
def _():
    made = Folder()
    put_shards(made, in_two(made.tensors))
    made.tensors = {}
    return made


@form("single-file-beside-stale-index")
def _():
    made = Folder()
    put_shards(made, in_two(folder.weights(CONFIG, seed=1)))
    return made


@form("index-of-files-that-are-gone")
def _():
    made = Folder()
    made.files["model.safetensors.index.json"] = index(in_two(made.tensors, "old"))
    return made


@form("shard-missing", "model-00002-of-00002.safetensors")
def _():
    made = Folder()
    parts = in_two(made.tensors)
    put_shards(made, parts)
    del made.files["model-00002-of-00002.safetensors"]
    made.tensors = {}
    return made


@form("tensor-in-another-shard-than-the-index-says")
def _():
    made = Folder()
    parts = in_two(made.tensors)
    wrong = index(parts)
    wrong["weight_map"]["model.norm.weight"] = sorted(parts)[0]
    put_shards(made, parts, wrong)
    made.tensors = {}
    return made


@form("index-with-an-unknown-key", "quantization")
def _():
    made = Folder()
    parts = in_two(made.tensors)
    put_shards(made, parts, {**index(parts), "quantization": "int8"})
    made.tensors = {}
    return made


@form("pickle-alone", "pytorch_model.bin")
def _():
    made = Folder()
    made.tensors = {}
    made.files["pytorch_model.bin"] = b"PK\x03\x04 no pickle"
    return made


files_form("pickle-beside", pytorch_model__bin=b"PK\x03\x04 no pickle")
files_form("adapter-beside", "adapter_config.json",
           adapter_config__json={"peft_type": "LORA", "r": 4, "lora_alpha": 8})  # fmt: skip


@form("no-weights", "model.safetensors")
def _():
    made = Folder()
    made.tensors = {}
    return made


@form("lfs-pointer", "Git LFS")
def _():
    made = Folder()
    made.tensors = {}
    made.files["model.safetensors"] = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n"
    )
    return made


@form("cut-file", "model.safetensors")
def _():
    made = Folder()
    made.files["model.safetensors"] = folder.safetensors(made.tensors)[:100_000]
    made.tensors = {}
    return made


@form("no-metadata")
def _():
    made = Folder()
    made.metadata = None
    return made


@form("not-a-number-in-config", "Python")
def _():
    made = Folder()
    made.files["config.json"] = json.dumps({**made.config, "rope_theta": float("nan")})
    return made


# ---- Weights: tensors ----
def with_dtypes(choose, **changes):
    made = Folder(**changes)
    made.tensors = {name: tensor.to(choose(name)) for name, tensor in made.tensors.items()}
    return made


FORMS["half-precision"] = (lambda: with_dtypes(lambda name: "F16"), "")
FORMS["bfloat16"] = (lambda: with_dtypes(lambda name: "BF16", torch_dtype="bfloat16"), "")
FORMS["double-precision"] = (lambda: with_dtypes(lambda name: "F64"), "")
FORMS["mixed-dtypes"] = (
    lambda: with_dtypes(lambda name: "F32" if "norm" in name else "F16" if "head" in name else "BF16"), "",
)  # fmt: skip


def flat(tensors):
    return {name.removeprefix("model."): tensor for name, tensor in tensors.items()}


@form("names-without-model")
def _():
    made = Folder(architectures=["Qwen3Model"], tie_word_embeddings=True)
    made.tensors = flat(made.tensors)
    return made


@form("names-without-model-and-a-head")
def _():
    made = Folder()
    made.tensors = flat(made.tensors)
    return made


@form("names-without-model-untied-headless", "lm_head.weight")
def _():
    made = Folder()
    made.tensors = {n: t for n, t in flat(made.tensors).items() if n != "lm_head.weight"}
    return made


@form("names-of-both-kinds")
def _():
    made = Folder()
    made.tensors["norm.weight"] = made.tensors.pop("model.norm.weight")
    return made


@form("names-of-a-compiled-model", "_orig_mod")
def _():
    made = Folder()
    made.tensors = {"_orig_mod." + name: tensor for name, tensor in made.tensors.items()}
    return made


@form("headless", "lm_head.weight")
def _():
    made = Folder()
    del made.tensors["lm_head.weight"]
    return made


@form("tied-with-the-embedding-as-head")
def _():
    made = Folder(tie_word_embeddings=True)
    made.tensors["lm_head.weight"] = made.tensors["model.embed_tokens.weight"]
    return made


@form("tied-with-another-head", "lm_head.weight")
def _():
    made = Folder(tie_word_embeddings=True)
    made.tensors["lm_head.weight"] = Tensor((288, 32), uniform("another head", 288 * 32))
    return made


@form("tied-with-a-head-of-another-shape", "lm_head.weight")
def _():
    made = Folder(tie_word_embeddings=True)
    made.tensors["lm_head.weight"] = Tensor((3, 32), [0.0] * 96)
    return made


def with_extra(name, tensor):
    made = Folder()
    made.tensors[name] = tensor
    return made


FORMS["rotary-buffer"] = (
    lambda: with_extra("model.rotary_emb.inv_freq", Tensor((8,), [1.0] * 8)), "inv_freq",
)  # fmt: skip
FORMS["counter-in-file"] = (lambda: with_extra("step", Tensor((), [7], "I64")), "step")
FORMS["score-head"] = (lambda: with_extra("score.weight", Tensor((2, 32), [0.5] * 64)), "score.weight")
FORMS["bias-in-file"] = (
    lambda: with_extra("model.layers.0.self_attn.q_proj.bias", Tensor((64,), [0.5] * 64)), "q_proj.bias",
)  # fmt: skip


@form("fp8-with-scales", "quantization_config")
def _():
    made = Folder(quantization_config={"quant_method": "fp8", "weight_block_size": [32, 32]})
    name = "model.layers.0.mlp.up_proj.weight"
    made.tensors[name] = Tensor((48, 32), [56] * 48 * 32, "F8_E4M3")
    made.tensors[name + "_scale_inv"] = Tensor((2, 1), [1.0] * 2)
    return made


@form("fp8-not-announced", "F8_E4M3")
def _():
    made = Folder()
    made.tensors["model.layers.0.mlp.up_proj.weight"] = Tensor((48, 32), [56] * 48 * 32, "F8_E4M3")
    return made


@form("without-query-and-key-norms", "q_norm")
def _():
    made = Folder()
    made.tensors = {n: t for n, t in made.tensors.items() if "q_norm" not in n and "k_norm" not in n}
    return made


# ---- Ends of text. END is what the plain model says third after the prompt of make.py. ----
END, OTHER = 208, 262
config_form("end-in-config", eos_token_id=END)
config_form("ends-in-config", eos_token_id=[OTHER, END])
config_form("end-minus-one", eos_token_id=-1)
config_form("end-null", eos_token_id=None)
config_form("end-beyond-the-vocabulary", "eos_token_id", eos_token_id=288)


def generation_form(name, refused="", config_end=OTHER, **keys):
    def make():
        made = Folder(eos_token_id=config_end)
        made.files["generation_config.json"] = {"transformers_version": "4.51.0", **keys}
        return made

    FORMS[name] = (make, refused)


generation_form("end-in-generation-config", eos_token_id=END)
generation_form("ends-in-generation-config", eos_token_id=[END, OTHER])
generation_form("generation-config-overrides-the-end", config_end=END, eos_token_id=OTHER)
generation_form("generation-config-without-ends", config_end=END, do_sample=False)
generation_form("sampling-keys", eos_token_id=END, do_sample=False, temperature=0.6, top_k=20, top_p=0.95,
                pad_token_id=261, bos_token_id=261)  # fmt: skip
generation_form("neutral-penalties", repetition_penalty=1.0, no_repeat_ngram_size=0, num_beams=1, min_new_tokens=0,
                bad_words_ids=None)  # fmt: skip
generation_form("repetition-penalty", "repetition_penalty", repetition_penalty=1.5)
generation_form("no-repeated-pairs", "no_repeat_ngram_size", no_repeat_ngram_size=1)
generation_form("suppressed-tokens", "suppress_tokens", suppress_tokens=[END])
generation_form("forced-end", "forced_eos_token_id", forced_eos_token_id=END)
generation_form("at-least-so-many", "min_new_tokens", eos_token_id=END, min_new_tokens=6)
generation_form("stop-strings", "stop_strings", stop_strings=["a"])
generation_form("unknown-generation-key", "thinking_budget", thinking_budget=4)

# ---- Tokenizers ----
CLASS = folder.TOKENIZER_CONFIG
AS_FILE = {**CLASS, "tokenizer_class": "PreTrainedTokenizerFast"}


def tokenizer_form(name, refused="", config=CLASS, beside=None, **changes):
    files_form(name, refused, tokenizer__json=tokenizer(**changes), tokenizer_config__json=config, **(beside or {}))


def decoder_of(*tokens):
    return {str(number): token(content, **flags) for content, number, flags in tokens}


KNOWN = [(content, 261 + i, {}) for i, content in enumerate(folder.SPECIAL)]
MORE = ("<|audio|>", 266, {})
OTHER_PATTERN = r"\p{N}{1,3}|\p{L}+|\s+|[^\s\p{L}\p{N}]+"
DIGITS = {"type": "Digits", "individual_digits": True}
tokenizer_form("tokenizer-without-config", config=None)
SAID["truncation-saved"] = SAID["padding-saved"] = "has no effect"
for given in (None, {"eos_token": "<|endoftext|>"}):
    name = "class-not-named-" + ("without-config" if given is None else "in-config")
    tokenizer_form(name, config=given, steps=[split(OTHER_PATTERN)])
    SAID[name] = AS_IT_STANDS
tokenizer_form("class-not-named-end-of-text-nowhere", special=["<|im_end|>"], config={})
tokenizer_form("class-not-named-without-config-or-end-of-text", special=["<|im_end|>"], config=None)
SAID["class-not-named-without-config-or-end-of-text"] = AS_IT_STANDS
tokenizer_form("class-fast", config={**CLASS, "tokenizer_class": "Qwen2TokenizerFast"})
tokenizer_form("class-of-another-family", "tokenizer_class", config={**CLASS, "tokenizer_class": "LlamaTokenizer"})
tokenizer_form("read-as-the-file-says", config=AS_FILE, steps=[split(OTHER_PATTERN)])
tokenizer_form("other-pattern-than-the-class", "pre_tokenizer", steps=[split(OTHER_PATTERN)])
tokenizer_form("no-normalizer-as-file", config=AS_FILE, normalizer=None)
tokenizer_form("no-normalizer-under-the-class", "normalizer", normalizer=None)
WHOLE_WORDS = {"ignore_merges": True, "vocab": {**tokenizer()["model"]["vocab"], "okay": 261}}
tokenizer_form("whole-words-as-file", config=AS_FILE, added_tokens=[], model=WHOLE_WORDS)
tokenizer_form("whole-words-under-the-class", "ignore_merges", model={"ignore_merges": True})
tokenizer_form("prefix-space-under-the-class", "pre_tokenizer", config={**CLASS, "add_prefix_space": True})
tokenizer_form("normalizer-sequence", config=AS_FILE,
               normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}]})  # fmt: skip
tokenizer_form("normalizer-empty-sequence", config=AS_FILE, normalizer={"type": "Sequence", "normalizers": []})
tokenizer_form("normalizer-nfkc", "normalizer", config=AS_FILE, normalizer={"type": "NFKC"})
tokenizer_form("decoder-sequence", config=AS_FILE, decoder={"type": "Sequence", "decoders": [BYTE_LEVEL]})
tokenizer_form("digits-step", config=AS_FILE, steps=[DIGITS, split(folder.PATTERN)])
tokenizer_form("digits-in-runs", config=AS_FILE, steps=[{**DIGITS, "individual_digits": False}])
tokenizer_form("punctuation-step", "Punctuation", config=AS_FILE,
               steps=[{"type": "Punctuation", "behavior": "Isolated"}])  # fmt: skip
tokenizer_form("model-type-absent", config=AS_FILE, model={"type": ABSENT})
tokenizer_form("merges-as-text", model={"merges": [" ".join(pair) for pair in folder.MERGES]})
tokenizer_form("truncation-saved", truncation={
    "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0})  # fmt: skip
tokenizer_form("padding-saved", padding={
    "strategy": {"Fixed": 16}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 261, "pad_type_id": 0,
    "pad_token": "<|endoftext|>"})  # fmt: skip
tokenizer_form("end-appended", config=AS_FILE, post_processor={
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [261], "tokens": ["<|endoftext|>"]}},
})  # fmt: skip
tokenizer_form("unknown-tokenizer-key", "vocab_hash", vocab_hash="0")
tokenizer_form("unknown-tokenizer-config-key", "lowercase", config={**CLASS, "lowercase": True})
tokenizer_form("special-tokens-are-split", "split_special_tokens", config={**CLASS, "split_special_tokens": True})
tokenizer_form("chat-template-beside", beside={"chat_template__jinja": "{{ messages }}"})
tokenizer_form("vocabulary-files-beside", beside={"vocab__json": {"a": 0}, "merges__txt": "#version: 0.2\n"})
tokenizer_form("extra-special-tokens", config={**CLASS, "extra_special_tokens": [MORE[0]]})
tokenizer_form("additional-special-tokens", config={**CLASS, "additional_special_tokens": [MORE[0], "<|im_end|>"]})
tokenizer_form("extra-special-tokens-by-name", config={**CLASS, "extra_special_tokens": {"audio_token": MORE[0]}})
tokenizer_form("model-specific-token", config={**CLASS, "audio_token": MORE[0]})
tokenizer_form("end-token-nowhere-else", config={**CLASS, "eos_token": "<|stop|>"})
tokenizer_form("end-token-with-flags",
               config={**AS_FILE, "eos_token": {"__type": "AddedToken", **token("<|stop|>", lstrip=True)}})  # fmt: skip
tokenizer_form("end-token-of-no-type", "eos_token", config={**AS_FILE, "eos_token": token("<|stop|>")})
tokenizer_form("end-token-is-a-word", config={**CLASS, "eos_token": "the"})
tokenizer_form("end-of-text-nowhere", special=["<|im_end|>"], config={"tokenizer_class": "Qwen2Tokenizer"})
tokenizer_form("end-of-text-nowhere-as-file", special=["<|im_end|>"],
               config={"tokenizer_class": "PreTrainedTokenizerFast"})  # fmt: skip
tokenizer_form("decoder-equal", config={**CLASS, "added_tokens_decoder": decoder_of(*KNOWN)})
tokenizer_form("decoder-with-one-more", config={**CLASS, "added_tokens_decoder": decoder_of(*KNOWN, MORE)})
tokenizer_form("decoder-with-fewer", "added_tokens_decoder",
               config={**CLASS, "added_tokens_decoder": decoder_of(*KNOWN[:3])})  # fmt: skip
tokenizer_form("decoder-with-fewer-as-file", config={**AS_FILE, "added_tokens_decoder": decoder_of(*KNOWN[:3])})
tokenizer_form("decoder-with-other-flags",
               config={**AS_FILE, "added_tokens_decoder": decoder_of(
                   *KNOWN[:2], ("<|im_end|>", 263, {"lstrip": True, "rstrip": True}), *KNOWN[3:])})  # fmt: skip
tokenizer_form("decoder-with-another-id", "added_tokens_decoder",
               config={**CLASS, "added_tokens_decoder": decoder_of(*KNOWN, ("<|audio|>", 280, {}))})  # fmt: skip
tokenizer_form("special-tokens-map", beside={"special_tokens_map__json": {
    "eos_token": token("<|stop|>"), "additional_special_tokens": [MORE[0]]}})  # fmt: skip
tokenizer_form("special-tokens-map-beside-decoder", config={**CLASS, "added_tokens_decoder": decoder_of(*KNOWN)},
               beside={"special_tokens_map__json": {"eos_token": "<|stop|>"}})  # fmt: skip
tokenizer_form("added-tokens-file", beside={"added_tokens__json": {
    "<|audio|>": 266, **{content: number for content, number, _ in KNOWN}}})  # fmt: skip
tokenizer_form("tokens-with-flags-as-file", config=AS_FILE, added_tokens=[
    token("<|endoftext|>", 261), token("<|a|>", 262, lstrip=True), token("<|im_end|>", 263, rstrip=True),
    token("ok", 264, single_word=True), token("Café", 265, normalized=True, special=False)])  # fmt: skip


# ---- Whole folders ----
PUBLISHED_TOKENS = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> "
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()


def as_published():
    """All files and keys of Qwen/Qwen3-8B on its hub, as of 2025; the values are those of the tiny model."""
    made = Folder(torch_dtype="bfloat16", bos_token_id=261, eos_token_id=263)
    made.tensors = {name: tensor.to("BF16") for name, tensor in made.tensors.items()}
    entries = {
        str(261 + i): token(content, special=14 > i) for i, content in enumerate(PUBLISHED_TOKENS)
    }
    made.files = {
        "tokenizer.json": tokenizer(added_tokens=[{"id": int(n), **entry} for n, entry in entries.items()]),
        "tokenizer_config.json": {
            "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": entries,
            "additional_special_tokens": PUBLISHED_TOKENS[1:14], "bos_token": None,
            "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
            "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace",
            "model_max_length": 131072, "pad_token": "<|endoftext|>", "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
        },
        "generation_config.json": {
            "bos_token_id": 261, "do_sample": True, "eos_token_id": [263, 261], "pad_token_id": 261,
            "temperature": 0.6, "top_k": 20, "top_p": 0.95, "transformers_version": "4.51.0",
        },
        "vocab.json": {letter: b for b, letter in folder.letters().items()}, "merges.txt": "#version: 0.2\nh e\n",
        "README.md": "# Qwen3\n", "LICENSE": "Apache License\n", ".gitattributes": "*.safetensors filter=lfs\n",
        "figures/speed.png": b"\x89PNG",
    }  # fmt: skip
    return made


@form("as-published-sharded")
def _():
    made = as_published()
    put_shards(made, in_two(made.tensors))
    made.tensors = {}
    return made


FORMS["as-published"] = (as_published, "")
config_form("as-transformers-5-saves", **ROPE, torch_dtype=ABSENT, dtype="float32", layer_types=[FULL, FULL],
            pad_token_id=None, rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
            transformers_version="5.24.0")  # fmt: skip
config_form(
    "as-transformers-4-dumps", _attn_implementation_autoset=True, _name_or_path="", add_cross_attention=False,
    bad_words_ids=None, begin_suppress_tokens=None, chunk_size_feed_forward=0, cross_attention_hidden_size=None,
    decoder_start_token_id=None, diversity_penalty=0.0, do_sample=False, early_stopping=False,
    encoder_no_repeat_ngram_size=0, exponential_decay_length_penalty=None, finetuning_task=None,
    forced_bos_token_id=None, forced_eos_token_id=None, id2label={"0": "LABEL_0", "1": "LABEL_1"}, is_decoder=False,
    is_encoder_decoder=False, label2id={"LABEL_0": 0, "LABEL_1": 1}, length_penalty=1.0, max_length=20, min_length=0,
    no_repeat_ngram_size=0, num_beam_groups=1, num_beams=1, num_return_sequences=1, output_attentions=False,
    output_hidden_states=False, output_scores=False, pad_token_id=None, prefix=None, problem_type=None,
    pruned_heads={}, remove_invalid_values=False, repetition_penalty=1.0, return_dict=True,
    return_dict_in_generate=False, sep_token_id=None, suppress_tokens=None, task_specific_params=None,
    temperature=1.0, tf_legacy_loss=False, tie_encoder_decoder=False, tokenizer_class=None, top_k=50, top_p=1.0,
    torchscript=False, typical_p=1.0, use_bfloat16=False,
)  # fmt: skip


def main(out):
    for name, (make, _) in FORMS.items():
        make().write(out / name)
    says = {name: {"refused": refused, "said": SAID.get(name, "")} for name, (_, refused) in FORMS.items()}
    (out / "forms.json").write_text(json.dumps(says, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
