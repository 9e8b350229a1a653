#include "harness/execution/replayed.h"

namespace samebits {

ReplayedProgram::ReplayedProgram(const Mode& mode, const ProgramSpec& spec)
    : GraphProgram(mode, spec) {
  for (const ReplayForm& form : spec.replays) {
    const Buckets buckets =
        mode.buckets.empty() ? Buckets::up_to(form.max_tokens) : Buckets(mode.buckets);
    forms_.push_back({.extent = form.extent,
                      .replayer = Replayer(form.name, captured(), form.inputs, buckets, form.pool,
                                           form.splitting)});
  }
}

std::vector<at::Tensor> ReplayedProgram::run(const std::vector<at::Tensor>& inputs,
                                             ReplayDigests* digests) {
  for (Form& each : forms_) {
    const auto extent = each.extent(inputs);
    const Buckets& buckets = each.replayer.buckets();
    if (!extent || !buckets.holds(extent->tokens)) continue;
    check_parameters();
    note_replay(buckets.bucket_for(extent->tokens));
    return each.replayer.run(inputs, extent->tokens, extent->rows, digests);
  }
  return GraphProgram::run(inputs, digests);
}

Witness ReplayedProgram::witness() const {
  Witness witness = GraphProgram::witness();
  for (const Form& each : forms_) {
    const ReplayWitness counted = each.replayer.witness();
    witness.captures += each.replayer.captures();
    witness.replays += counted.replays;
    witness.launches += counted.launches;
    witness.eager_operators += counted.eager_operators;
    witness.replay_dispatcher_calls += counted.dispatcher_calls;
    witness.replay_allocations += counted.allocations;
  }
  return witness;
}

void ReplayedProgram::set_lowering(const Replayer::Lowering& lowering) {
  for (Form& each : forms_) each.replayer.set_lowering(lowering);
}

}  // namespace samebits
