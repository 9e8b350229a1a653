#include "harness/workload/engine.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>

#include "harness/base/error.h"

namespace samebits {

struct Engine::Sequence {
  const Request* request;
  std::vector<int64_t> tokens;  // prompt, then what was chosen
  int64_t max_length;           // tokens in all, at most
  int64_t computed = 0;         // tokens whose keys and values are in the cache
  std::vector<int64_t> blocks;
  Completion completion;

  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
  int64_t pending() const { return length() - computed; }
};

struct Engine::Slice {
  Sequence* sequence;
  int64_t begin;  // positions [begin, end)
  int64_t end;
  bool wants_token() const { return end == sequence->length(); }
};

Engine::Engine(const Decoder& model, const EngineSettings& settings)
    : model_(model),
      settings_(settings),
      cache_(model.config(), model.parallel().size(), settings.blocks, settings.block_size,
             model.numerics().dtype, model.device(), model.parallel().hosted()),
      runner_(model, cache_, settings.mode, settings.max_batch_tokens) {}

int64_t Engine::blocks_for(int64_t tokens, int64_t block_size) {
  return (tokens + block_size - 1) / block_size;
}

Engine::Sequence Engine::make_sequence(const Request& request, const Sampling& sampling) const {
  const std::string where = fmt::format("request {}", request.id);
  if (request.prompt.empty()) throw InputError(where, "an empty prompt", "one token or more");
  for (const auto* part : {&request.prompt, &request.forced}) {
    for (const int64_t id : *part) {
      if (id < 0 || id >= model_.config().vocab_size) {
        throw InputError(where, fmt::format("token {}", id),
                         fmt::format("an id below {}", model_.config().vocab_size));
      }
    }
  }
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t more = request.forced.empty() ? sampling.max_new_tokens
                                              : static_cast<int64_t>(request.forced.size());
  if (prompt + more > model_.config().max_position_embeddings) {
    throw InputError(where, fmt::format("{} tokens", prompt + more),
                     fmt::format("at most max_position_embeddings, {}",
                                 model_.config().max_position_embeddings));
  }
  if (blocks_for(prompt + more, settings_.block_size) > settings_.blocks) {
    throw InputError(
        where, fmt::format("{} tokens", prompt + more),
        fmt::format("what {} pages of {} hold", settings_.blocks, settings_.block_size));
  }
  return {&request, request.prompt, prompt + more, 0, {}, {}};
}

// A last token is always computed: it gives the logits of the next.
void Engine::take_prefix(Sequence& sequence) const {
  const int64_t page = settings_.block_size;
  const std::vector<int64_t>& prompt = sequence.request->prompt;
  for (int64_t end = page; end < static_cast<int64_t>(prompt.size()); end += page) {
    const auto found = prefixes_.find({prompt.begin(), prompt.begin() + end});
    if (found == prefixes_.end()) return;
    sequence.blocks.push_back(found->second);
    sequence.computed = end;
  }
}

// Where others were computed beside it, the first one's stay.
void Engine::keep_prefix(const Sequence& sequence) {
  const int64_t page = settings_.block_size;
  const std::vector<int64_t>& prompt = sequence.request->prompt;
  for (int64_t end = page; end < static_cast<int64_t>(prompt.size()); end += page) {
    prefixes_.try_emplace({prompt.begin(), prompt.begin() + end},
                          sequence.blocks[(end - 1) / page]);
  }
}

std::vector<Engine::Slice> Engine::schedule(std::vector<Sequence*>& running) const {
  std::vector<Slice> slices;
  int64_t budget = settings_.max_batch_tokens;
  const auto take = [&](Sequence* sequence) {
    const int64_t count = std::min(sequence->pending(), budget);
    if (count == 0) return;
    slices.push_back({sequence, sequence->computed, sequence->computed + count});
    budget -= count;
  };
  // Decodes first: a long prompt must not hold up the sequences that are one token from their next.
  for (Sequence* sequence : running) {
    if (sequence->pending() == 1) take(sequence);
  }
  for (Sequence* sequence : running) {
    if (sequence->pending() > 1) take(sequence);
  }
  return slices;
}

StepInputs Engine::batch(const std::vector<Slice>& slices, bool forced) const {
  std::vector<int64_t> ids, positions, slots, rows, keys;
  std::vector<int32_t> boundaries = {0}, lengths;
  int64_t width = 1;
  for (const Slice& slice : slices) {
    width = std::max(width, static_cast<int64_t>(slice.sequence->blocks.size()));
  }
  // Entries past a sequence's own pages are never read.
  std::vector<int32_t> table(slices.size() * width, 0);
  const auto want = [&](const Slice& slice) {
    const Request& request = *slice.sequence->request;
    rows.push_back(static_cast<int64_t>(ids.size()) - 1);
    if (forced) {
      keys.push_back(request.forced[slice.sequence->completion.tokens.size()]);
    } else {
      keys.insert(keys.end(), {request.id, slice.end});
    }
  };
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice& slice = slices[i];
    const Sequence& sequence = *slice.sequence;
    for (int64_t p = slice.begin; p < slice.end; ++p) {
      ids.push_back(sequence.tokens[p]);
      positions.push_back(p);
      slots.push_back(sequence.blocks[p / settings_.block_size] * settings_.block_size +
                      p % settings_.block_size);
    }
    std::copy(sequence.blocks.begin(), sequence.blocks.end(), table.begin() + i * width);
    boundaries.push_back(static_cast<int32_t>(ids.size()));
    lengths.push_back(static_cast<int32_t>(slice.end));
    if (slice.wants_token()) want(slice);
  }
  // A step of nothing but unfinished prompts wants no token; one is computed and dropped, so that
  // no size of a step is ever zero.
  if (rows.empty()) want(slices.back());

  const int64_t tokens = static_cast<int64_t>(ids.size());
  const int64_t wanted = static_cast<int64_t>(rows.size());
  return {at::tensor(ids).view({1, tokens}),
          at::tensor(positions).view({1, tokens}),
          at::tensor(slots),
          at::tensor(table, at::kInt).view({static_cast<int64_t>(slices.size()), width}),
          at::tensor(boundaries, at::kInt),
          at::tensor(lengths, at::kInt),
          at::tensor(rows),
          at::tensor(keys).view({wanted, forced ? 1 : 2})};
}

std::vector<Completion> Engine::generate(const std::vector<Request>& requests,
                                         const Sampling& sampling, Observer* observer,
                                         const TokenListener& on_token) {
  const bool forced = !requests.empty() && !requests.front().forced.empty();
  const Selection selection{forced,         sampling.seed,  sampling.temperature,
                            sampling.top_k, sampling.top_p, sampling.has_processed_logprobs};
  std::vector<Sequence> sequences;
  for (const Request& request : requests) {
    TORCH_CHECK(request.forced.empty() != forced, "a batch samples or scores, not both");
    sequences.push_back(make_sequence(request, sampling));
  }
  std::set<int64_t> free_blocks;
  for (int64_t b = 0; b < settings_.blocks; ++b) free_blocks.insert(b);
  for (const auto& [tokens, block] : prefixes_) free_blocks.erase(block);
  const std::vector<int64_t>& eos = model_.config().eos_token_ids;

  std::deque<Sequence*> waiting;
  for (Sequence& sequence : sequences) {
    if (sequence.max_length > sequence.length()) waiting.push_back(&sequence);
  }
  std::vector<Sequence*> running;
  while (!waiting.empty() || !running.empty()) {
    while (!waiting.empty()) {
      Sequence& next = *waiting.front();
      if (next.blocks.empty()) take_prefix(next);
      const int64_t needed = blocks_for(next.max_length, settings_.block_size) -
                             static_cast<int64_t>(next.blocks.size());
      if (needed > static_cast<int64_t>(free_blocks.size())) break;
      for (int64_t b = 0; b < needed; ++b) {
        next.blocks.push_back(free_blocks.extract(free_blocks.begin()).value());
      }
      running.push_back(&next);
      waiting.pop_front();
    }

    const std::vector<Slice> slices = schedule(running);
    const StepOutputs outputs = runner_.run(batch(slices, forced), selection, observer);
    const int64_t* tokens = outputs.tokens.const_data_ptr<int64_t>();
    const float* logprobs = outputs.logprobs.const_data_ptr<float>();
    int64_t row = 0;
    for (const Slice& slice : slices) {
      Sequence& sequence = *slice.sequence;
      const bool wanted = slice.wants_token();
      sequence.computed = slice.end;
      if (!wanted) continue;
      const int64_t token = tokens[row];
      sequence.completion.tokens.push_back(token);
      sequence.completion.logprobs.push_back(logprobs[row]);
      sequence.tokens.push_back(token);
      ++row;
      if (on_token) on_token(static_cast<size_t>(&sequence - sequences.data()));
      const bool ended = !forced && !sampling.ignores_ends &&
                         std::find(eos.begin(), eos.end(), token) != eos.end();
      if (ended) sequence.max_length = sequence.length();
    }
    std::erase_if(running, [&](Sequence* sequence) {
      if (sequence->length() < sequence->max_length) return false;
      if (settings_.keeps_prefixes) keep_prefix(*sequence);
      free_blocks.insert(sequence->blocks.begin(), sequence->blocks.end());
      for (const auto& [tokens, block] : prefixes_) free_blocks.erase(block);
      return true;
    });
  }

  std::vector<Completion> completions;
  for (Sequence& sequence : sequences) completions.push_back(std::move(sequence.completion));
  return completions;
}

}  // namespace samebits
