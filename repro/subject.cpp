#include "repro/subject.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <utility>

#include "harness/capture/captured_program.h"
#include "harness/capture/passes/split.h"
#include "harness/graph/make_pool.h"
#include "harness/graph/static_graph.h"
#include "harness/observe/tensor_observation.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// The first line of what `f` throws.
template <typename F>
std::optional<std::string> error_of(F&& f) {
  try {
    f();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return text.substr(0, text.find('\n'));
  } catch (const std::exception& error) {
    return error.what();
  }
  return std::nullopt;
}

Digest digest_of(const at::Tensor& tensor) {
  return read_observations({begin_observation(0, "serve", 0, "output", tensor)}).front().digest;
}

std::optional<std::string> difference(const Tensors& got, const Tensors& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (got[i].sizes() != expected[i].sizes()) {
      return fmt::format("output {} has sizes [{}], eager gives [{}]", i,
                         fmt::join(got[i].sizes(), ", "), fmt::join(expected[i].sizes(), ", "));
    }
    if (digest_of(got[i]) != digest_of(expected[i])) {
      return fmt::format("output {} has other bits than eager's", i);
    }
  }
  return std::nullopt;
}

ReplayAtHint captured_whole(const Subject& subject, const Tensors& example,
                            std::shared_ptr<ReplayPool> pool) {
  const auto graph =
      std::make_shared<StaticGraph>("the graph", std::move(pool), subject.program, example);
  return [graph](const Tensors& inputs) {
    graph->copy_inputs(inputs);
    graph->replay();
    Tensors outputs;
    for (size_t i = 0; i < graph->graph().outputs(); ++i) {
      outputs.push_back(graph->graph().output(i).clone());
    }
    return outputs;
  };
}

ReplayAtHint captured_in_pieces(const Subject& subject, const Tensors& example,
                                const std::shared_ptr<ReplayPool>& pool) {
  std::vector<StaticBuffer> buffers;
  Tensors memory;
  for (size_t i = 0; i < example.size(); ++i) {
    buffers.push_back(pool->make_buffer(fmt::format("static input {}", i), example[i].sizes(),
                                        example[i].scalar_type()));
    memory.push_back(buffers.back().memory);
  }
  CapturedProgram captured(subject.program, subject.dims, subject.guards);
  const CapturedProgram::Served served = captured.serve(memory);
  const auto pieces = std::make_shared<BucketReplay>(
      "the graph", passes::split(served.graph, subject.splitting),
      std::vector<bool>(example.size(), false), pool, subject.results);
  pieces->capture(memory, served.symbols);
  return [=](const Tensors& inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) pool->copy(buffers[i], inputs[i], /*padding=*/{});
    Tensors outputs = pieces->run(memory, served.symbols);
    for (at::Tensor& output : outputs) output = output.clone();
    return outputs;
  };
}

}  // namespace

ReplayAtHint captured_at_hint(const Subject& subject) {
  const Tensors example = subject.inputs(subject.hint);
  const auto pool = make_pool(example[0].device());
  return subject.splitting.empty() ? captured_whole(subject, example, pool)
                                   : captured_in_pieces(subject, example, pool);
}

Outcome run_subject(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const auto wrong = [](std::string evidence) { return Outcome{true, std::move(evidence)}; };
  const Tensors example = subject.inputs(subject.hint);
  if (const auto error = error_of([&] { subject.program(example); })) {
    return wrong(fmt::format("eager at {}: {}", subject.hint, *error));
  }
  CapturedProgram captured(subject.program, subject.dims, subject.guards);
  if (const auto error = error_of([&] { captured(example); })) {
    return wrong(fmt::format("traced at {}: {}", subject.hint, *error));
  }
  for (const int64_t size : subject.sizes) {
    const Tensors inputs = subject.inputs(size);
    Tensors got;
    std::optional<std::string> found = error_of([&] { got = captured(inputs); });
    if (!found) found = difference(got, subject.program(inputs));
    if (found) {
      return wrong(fmt::format("traced at {}, served at {}: {}", subject.hint, size, *found));
    }
  }
  return {false, fmt::format("traced at {}, served at {}: the bits of eager", subject.hint,
                             fmt::join(subject.sizes, ", "))};
}

Outcome run_replayed(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const auto wrong = [](std::string evidence) { return Outcome{true, std::move(evidence)}; };
  const Tensors example = subject.inputs(subject.hint);
  if (const auto error = error_of([&] { subject.program(example); })) {
    return wrong(fmt::format("eager at {}: {}", subject.hint, *error));
  }
  ReplayAtHint replay;
  if (const auto error = error_of([&] { replay = captured_at_hint(subject); })) {
    return wrong(fmt::format("captured at {}: {}", subject.hint, *error));
  }
  for (const int64_t size : subject.sizes) {
    subject.program(subject.inputs(size));
    Tensors got;
    std::optional<std::string> found = error_of([&] { got = replay(example); });
    if (!found) found = difference(got, subject.program(example));
    if (found) {
      return wrong(fmt::format("captured at {}, replayed after a call at {}: {}", subject.hint,
                               size, *found));
    }
  }
  return {false, fmt::format("captured at {}, replayed after calls at {}: the bits of eager",
                             subject.hint, fmt::join(subject.sizes, ", "))};
}

std::vector<int64_t> sizes_to_try(int64_t ranks) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size <= 2 * ranks + 1; ++size) sizes.push_back(size);
  return sizes;
}

}  // namespace samebits
