#include "harness/folder/without_effect.h"

#include <algorithm>

namespace samebits {
namespace {

constexpr std::string_view kAny;  // every value
constexpr std::string_view kOnlyNull = "[null]";
constexpr std::string_view kOnlyFalse = "[null, false]";

// Source for every row: transformers 5.24.0, configuration_utils.py, modeling_qwen3.py,
// generation/configuration_utils.py, tokenization_utils_base.py, tokenization_utils_tokenizers.py;
// tokenizers 0.23.3. tests/oracle/folders shows it for each form that is worth one.
constexpr WithoutEffect kKeys[] = {
    // ---- config.json ----
    {"config.json",
     "transformers_version _name_or_path name_or_path _commit_hash unsloth_version unsloth_fixed "
     "model_max_length transformers.js_config",
     kAny, "it tells who wrote the folder"},
    {"config.json", "dtype torch_dtype use_bfloat16", kAny, "the case says it: numerics.dtype"},
    {"config.json",
     "attn_implementation _attn_implementation _attn_implementation_autoset "
     "_attn_implementation_internal",
     kAny, "the case says it: numerics"},
    {"config.json", "initializer_range", "number", "every weight is read from the folder"},
    {"config.json",
     "label2id problem_type finetuning_task classifier_dropout task_specific_params prefix", kAny,
     "it belongs to other heads than the language model's"},
    {"config.json", "num_labels", "integer", "it belongs to other heads than the language model's"},
    {"config.json", "id2label", "object|null",
     "it belongs to other heads than the language model's"},
    {"config.json",
     "output_attentions output_hidden_states return_dict torchscript tf_legacy_loss "
     "tie_last_hidden_states",
     kAny, "it tells what a call returns beside the logits"},
    {"config.json", "use_cache", "boolean", "it tells what a call returns beside the logits"},
    {"config.json", "gradient_checkpointing chunk_size_feed_forward", kAny,
     "it trades time for memory, and no value changes"},
    {"config.json", "attention_dropout", "[0]", "nothing is dropped here"},
    {"config.json", "is_decoder is_encoder_decoder add_cross_attention tie_encoder_decoder",
     kOnlyFalse, "the model is a decoder alone"},
    {"config.json", "cross_attention_hidden_size", kOnlyNull, "the model is a decoder alone"},
    {"config.json", "pruned_heads", "[null, {}]", "no head is pruned"},
    {"config.json", "mlp_bias use_mrope", kOnlyFalse, "this architecture has none"},
    {"config.json",
     "partial_rotary_factor final_logit_softcapping attn_logit_softcapping logits_scaling "
     "pretraining_tp",
     kAny, "it belongs to other families; Transformers' Qwen3 does not read it"},
    {"config.json", "bos_token_id", "integer|null", "a prompt is never empty here"},
    {"config.json", "sep_token_id decoder_start_token_id", kAny, "a prompt is never empty here"},
    {"config.json",
     "quantization_config compression_config per_layer_config fusion_config transformers_weights "
     "auto_map",
     kOnlyNull, "weights and architecture are taken as they stand"},

    // ---- config.json: rope_parameters, and the older rope_scaling ----
    {"rope_parameters", "partial_rotary_factor", kAny,
     "Transformers' Qwen3 turns the whole head whatever it says"},

    // ---- generation_config.json, and the same keys in config.json ----
    {"generation_config.json",
     "transformers_version _from_model_config _commit_hash trust_remote_code", kAny,
     "it tells who wrote the folder"},
    {"generation_config.json",
     "do_sample temperature top_k top_p max_length max_new_tokens num_return_sequences", kAny,
     "the case says it: workload"},
    {"generation_config.json", "bos_token_id pad_token_id decoder_start_token_id", kAny,
     "a prompt is never empty or padded here"},
    {"generation_config.json",
     "use_cache cache_implementation cache_config max_cache_len compile_config disable_compile "
     "continuous_batching_config low_memory prefill_chunk_size return_dict_in_generate "
     "output_attentions output_hidden_states output_scores output_logits",
     kAny, "it tells how a call is served or what it returns, and no value changes"},
    {"generation_config.json",
     "early_stopping length_penalty num_assistant_tokens num_assistant_tokens_schedule "
     "assistant_confidence_threshold assistant_lookbehind target_lookbehind "
     "assistant_ensemble_weight max_matching_ngram_size",
     kAny, "it acts with beams or an assistant, and there are none"},
    {"generation_config.json", "repetition_penalty encoder_repetition_penalty typical_p",
     "[null, 1]", "logits are not penalised here"},
    {"generation_config.json", "guidance_scale", "[null, 0, 1]", "logits are not guided here"},
    {"generation_config.json",
     "no_repeat_ngram_size encoder_no_repeat_ngram_size min_length min_new_tokens min_p "
     "epsilon_cutoff eta_cutoff diversity_penalty penalty_alpha",
     "[null, 0]", "only temperature, top_k and top_p act on the logits here"},
    {"generation_config.json", "num_beams num_beam_groups", "[null, 1]", "there is one beam"},
    {"generation_config.json",
     "bad_words_ids suppress_tokens begin_suppress_tokens stop_strings force_words_ids constraints "
     "sequence_bias",
     "[null, [], {}]", "no token is forced or forbidden, and only ids end a text here"},
    {"generation_config.json",
     "remove_invalid_values renormalize_logits token_healing is_assistant use_mtp", kOnlyFalse,
     "only temperature, top_k and top_p act on the logits here"},
    {"generation_config.json",
     "forced_bos_token_id forced_eos_token_id exponential_decay_length_penalty top_h "
     "watermarking_config max_time dola_layers prompt_lookup_num_tokens assistant_early_exit "
     "speculation_type",
     kOnlyNull, "only temperature, top_k and top_p act on the logits here"},

    // ---- model.safetensors.index.json ----
    {"model.safetensors.index.json", "metadata", kAny, "it counts bytes; the files are counted"},

    // ---- tokenizer_config.json ----
    {"tokenizer_config.json", "name_or_path special_tokens_map_file tokenizer_file processor_class",
     kAny, "it tells who wrote the folder"},
    {"tokenizer_config.json",
     "backend is_local local_files_only use_fast legacy from_slow verbose model_input_names "
     "return_token_type_ids trust_remote_code",
     kAny, "it tells how the tokenizer is called, and no id changes"},
    {"tokenizer_config.json", "chat_template response_template response_schema chat_control_tokens",
     kAny, "a prompt is taken as it stands; no template is applied"},
    {"tokenizer_config.json",
     "model_max_length max_len max_length stride truncation_side truncation_strategy padding_side "
     "pad_to_multiple_of pad_token_type_id",
     kAny, "a prompt is never cut or padded here"},
    {"tokenizer_config.json", "add_bos_token add_eos_token", kAny,
     "Transformers drops it where there is a tokenizer.json"},
    {"tokenizer_config.json", "errors spaces_between_special_tokens", kAny,
     "it belongs to tokenizers in Python"},
    {"tokenizer_config.json",
     "split_special_tokens clean_up_tokenization_spaces fix_mistral_regex "
     "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
     kOnlyFalse, "text is encoded and decoded as it stands"},
    {"tokenizer_config.json", "init_inputs", "[null, []]", "nothing is given by place"},

    // ---- tokenizer.json ----
    {"tokenizer.json", "truncation padding", "object|null",
     "a prompt is never cut or padded; Transformers resets both when it encodes"},
    {"tokenizer.json: model", "unk_token", "string|null", "no byte is unknown: each has a token"},
    {"tokenizer.json: model", "fuse_unk byte_fallback", "boolean|null",
     "no byte is unknown: each has a token"},
    {"tokenizer.json: ByteLevel", "trim_offsets", "boolean", "it moves offsets, not ids"},
    {"tokenizer.json: ByteLevel after the model", "add_prefix_space trim_offsets use_regex",
     "boolean", "it moves offsets, not ids"},
    {"tokenizer.json: TemplateProcessing", "pair", kAny, "a prompt is one text"},
    {"tokenizer.json: template piece", "type_id", "integer", "the model has one type of token"},
    {"tokenizer.json: template token", "id tokens", kAny, "its ids say it"},
};

constexpr FileNotRead kFiles[] = {
    {"adapter_config.json", true,
     "an adapter changes the weights; merge it into the model and save that"},
    {"custom_generate", true, "the folder brings its own way of generating"},
    {"chat_template.jinja", false, "a prompt is taken as it stands; no template is applied"},
    {"additional_chat_templates", false, "a prompt is taken as it stands; no template is applied"},
    {"vocab.json", false, "tokenizer.json comes first"},
    {"merges.txt", false, "tokenizer.json comes first"},
    {"pytorch_model.bin", false, "safetensors come first"},
    {"pytorch_model.bin.index.json", false, "safetensors come first"},
};

}  // namespace

std::span<const WithoutEffect> keys_without_effect() { return kKeys; }

std::span<const FileNotRead> files_not_read() { return kFiles; }

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string_view> names_of(const WithoutEffect& row) { return parts_of(row.keys, ' '); }

const WithoutEffect* find_without_effect(std::string_view object, std::string_view key) {
  for (const WithoutEffect& row : kKeys) {
    if (row.object != object) continue;
    const auto names = names_of(row);
    if (std::find(names.begin(), names.end(), key) != names.end()) return &row;
  }
  return nullptr;
}

}  // namespace samebits
