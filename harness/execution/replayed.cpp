#include "harness/execution/replayed.h"

#include <utility>

#include "harness/capture/passes/split.h"

namespace samebits {
namespace {

Buckets buckets_of(const Mode& mode, const ReplayForm& form) {
  return mode.buckets.empty() ? Buckets::up_to(form.max_tokens) : Buckets(mode.buckets);
}

std::vector<std::string> splitting_of(const Mode& mode) {
  return mode.is_replayed_whole() ? std::vector<std::string>() : passes::attention_operators();
}

}  // namespace

ReplayedProgram::ReplayedProgram(const Mode& mode, ProgramSpec spec)
    : GraphProgram(mode, spec),
      form_(*std::move(spec.replay)),
      replayer_(form_.name, captured(), form_.inputs, buckets_of(mode, form_), form_.pool,
                splitting_of(mode)) {}

std::vector<at::Tensor> ReplayedProgram::run(const std::vector<at::Tensor>& inputs,
                                             ReplayDigests* digests) {
  const auto extent = form_.extent(inputs);
  if (!extent) return GraphProgram::run(inputs, digests);
  check_parameters();
  return replayer_.run(inputs, extent->tokens, extent->rows, digests);
}

Witness ReplayedProgram::witness() const {
  Witness witness = GraphProgram::witness();
  const ReplayWitness counted = replayer_.witness();
  witness.captures = replayer_.captures();
  witness.replays = counted.replays;
  witness.launches = counted.launches;
  witness.eager_operators = counted.eager_operators;
  witness.replay_dispatcher_calls = counted.dispatcher_calls;
  witness.replay_allocations = counted.allocations;
  return witness;
}

}  // namespace samebits
