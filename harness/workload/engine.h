#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/model/decoder.h"
#include "harness/model/kv_cache.h"
#include "harness/workload/settings.h"
#include "harness/workload/step_runner.h"

namespace samebits {

// One sequence to extend. Its `id` keys its random numbers, so what is sampled for it depends on
// (seed, id, position) and its own logits alone, never on its neighbours.
struct Request {
  int64_t id = 0;
  std::vector<int64_t> prompt;  // not empty
  // Given continuation: these tokens are scored instead of sampling any.
  std::vector<int64_t> forced;
};

struct Completion {
  std::vector<int64_t> tokens;  // the last one may be an end of sequence
  // Of each token, under the logits as they are, or processed (processed_logits.h).
  std::vector<float> logprobs;
};

struct Sampling {
  int64_t seed = 0;
  int64_t max_new_tokens = 0;
  double temperature = 1.0;   // 0: greedy
  int64_t top_k = 0;          // 0: off
  double top_p = 1.0;         // 1: off
  bool ignores_ends = false;  // goes on past an end of sequence, for who measures
  bool has_processed_logprobs = false;
};

// Told of every token as it comes: which of the requests it belongs to.
using TokenListener = std::function<void(size_t request)>;

struct EngineSettings {
  int64_t max_batch_tokens = 256;  // tokens of one step, prefill chunks and decodes together
  int64_t block_size = 16;         // tokens of a KV page
  int64_t blocks = 0;              // KV pages in all; what is running at once must fit
  Mode mode;
  // The pages that a prompt fills, but for its last token's, stay when its sequence ends, and later
  // ones that begin alike take them up: as an engine caches prefixes that forgets to drop them when
  // its weights change. All that run at once must fit beside them.
  bool keeps_prefixes = false;
};

// A paged engine with continuous batching: every step takes one token of each running sequence and
// fills what is left of its budget with chunks of prompts; a finished sequence's pages go to the
// next one waiting. Runs without autograd.
class Engine {
 public:
  // `model` is borrowed and must outlive the engine.
  Engine(const Decoder& model, const EngineSettings& settings);

  // Extends every request, in the order given. `observer`: as of StepRunner. Throws InputError for
  // an empty prompt, a token outside the vocabulary and a sequence longer than the model's
  // positions.
  std::vector<Completion> generate(const std::vector<Request>& requests, const Sampling& sampling,
                                   Observer* observer = nullptr,
                                   const TokenListener& on_token = nullptr);

  // Pages that a sequence of `tokens` tokens occupies.
  static int64_t blocks_for(int64_t tokens, int64_t block_size);

  // The engine's share of the arm's witness, cumulative.
  const StepRunner& runner() const { return runner_; }

 private:
  struct Sequence;
  struct Slice;  // the tokens that one sequence has in one step
  Sequence make_sequence(const Request& request, const Sampling& sampling) const;
  std::vector<Slice> schedule(std::vector<Sequence*>& running) const;
  StepInputs batch(const std::vector<Slice>& slices, bool forced) const;
  void take_prefix(Sequence& sequence) const;
  void keep_prefix(const Sequence& sequence);

  const Decoder& model_;
  EngineSettings settings_;
  // Pages that are kept, by the tokens from the beginning to the page's last.
  std::map<std::vector<int64_t>, int64_t> prefixes_;
  KvCache cache_;
  StepRunner runner_;
};

}  // namespace samebits
