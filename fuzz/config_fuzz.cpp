// Any text is the config.json of a model whose sizes multiply without overflow, or an InputError.

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const std::filesystem::path folder = samebits::fuzz::scratch_folder();
    samebits::write_text_file((folder / "config.json").string(), text);
    const samebits::DecoderConfig config = samebits::decoder_config_from_folder(folder);
    samebits::check_tensor_parallel(config, /*tp=*/2, /*tp_invariant=*/true);
    samebits::fuzz::require(config.q_size() > 0 && config.kv_size() > 0);
    for (const int64_t id : config.eos_token_ids) {
      samebits::fuzz::require(0 <= id && id < config.vocab_size);
    }
  });
}
