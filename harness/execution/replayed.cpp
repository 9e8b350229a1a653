#include "harness/execution/replayed.h"

namespace samebits {

ReplayedProgram::ReplayedProgram(const Mode& mode, const ProgramSpec& spec)
    : GraphProgram(mode, spec) {
  for (const ReplayForm& form : spec.replays) {
    forms_.push_back({.call = form.call,
                      .replayer = Replayer(form.name, captured(), form.inputs, form.buckets,
                                           form.pool, form.splitting)});
    forms_.back().replayer.set_counts_of_nothing(form.counts_of_nothing);
  }
}

std::vector<at::Tensor> ReplayedProgram::run(const std::vector<at::Tensor>& inputs,
                                             ReplayDigests* digests) {
  for (Form& each : forms_) {
    const auto call = each.call(inputs);
    if (!call || !each.replayer.holds(call->counts)) continue;
    check_parameters();
    note_replay(each.replayer.buckets_for(call->counts));
    return each.replayer.run(inputs, *call, digests);
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
