#include "harness/detect/subject.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "harness/capture/captured_program.h"
#include "harness/capture/passes/common_subexpressions.h"
#include "harness/capture/passes/split.h"
#include "harness/detect/compare_outputs.h"
#include "harness/dtensor/copies.h"
#include "harness/graph/make_pool.h"
#include "harness/graph/static_graph.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

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
  subject.program(example);  // what is made when it is first used is made now
  const auto pool = make_pool(example[0].device());
  return subject.splitting.empty() ? captured_whole(subject, example, pool)
                                   : captured_in_pieces(subject, example, pool);
}

namespace {

Outcome run_traced(const Subject& subject, std::function<ir::Graph(ir::Graph)> transform) {
  const c10::NoGradGuard no_grad;
  const auto wrong = [](std::string evidence) { return Outcome{true, std::move(evidence)}; };
  const Tensors example = subject.inputs(subject.hint);
  if (const auto error = error_of([&] { subject.program(example); })) {
    return wrong(fmt::format("eager at {}: {}", subject.hint, *error));
  }
  CapturedProgram captured(subject.program, subject.dims, subject.guards);
  if (transform) captured.set_transform(std::move(transform));
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

}  // namespace

Outcome run_subject(const Subject& subject) { return run_traced(subject, /*transform=*/{}); }

Outcome run_with_equal_calls_merged(const Subject& subject) {
  return run_traced(
      subject, [](const ir::Graph& graph) { return passes::common_subexpressions(graph).graph; });
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
    const Tensors inputs = subject.inputs(size);
    const bool is_served = same_kinds(inputs, example);
    const Tensors& served = is_served ? inputs : example;
    subject.program(inputs);
    Tensors got;
    std::optional<std::string> found = error_of([&] { got = replay(served); });
    if (!found) found = difference(got, subject.program(served));
    if (found) {
      return wrong(fmt::format("captured at {}, replayed {} {}: {}", subject.hint,
                               is_served ? "at" : "after a call at", size, *found));
    }
  }
  return {false, fmt::format("captured at {}, replayed at or after calls at {}: the bits of eager",
                             subject.hint, fmt::join(subject.sizes, ", "))};
}

Outcome run_padded(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  for (const int64_t size : subject.sizes) {
    for (const int64_t bucket : subject.sizes) {
      if (bucket <= size) continue;
      const Tensors expected = subject.program(subject.inputs(size));
      Tensors got;
      std::optional<std::string> found = error_of([&] {
        got = subject.program(subject.padding->inputs(size, bucket, PaddingContent::kHostile));
        got.resize(1);
        got[0] = got[0].narrow(subject.rows_dim, 0, size);
      });
      if (!found) found = difference(got, {expected[0]}, "unpadded eager");
      if (found) return {true, fmt::format("{} padded to {}: {}", size, bucket, *found)};
    }
  }
  return {false, fmt::format("each of {} padded to each larger one: the bits without padding",
                             fmt::join(subject.sizes, ", "))};
}

Outcome run_with_reference(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  for (const int64_t size : subject.sizes) {
    const Tensors inputs = subject.inputs(size);
    const auto found =
        difference(subject.program(inputs), subject.reference(inputs), "the reference");
    if (found) return {true, fmt::format("at {}: {}", size, *found)};
  }
  return {false, fmt::format("at {}: the bits of the reference", fmt::join(subject.sizes, ", "))};
}

Outcome run_rows(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  const int64_t most = *std::max_element(subject.sizes.begin(), subject.sizes.end());
  const at::Tensor whole = subject.program(subject.inputs(most))[0];
  for (const int64_t size : subject.sizes) {
    const at::Tensor part = subject.program(subject.inputs(size))[0];
    for (int64_t row = 0; row < size; ++row) {
      const at::Tensor got = part.select(subject.rows_dim, row);
      const at::Tensor expected = whole.select(subject.rows_dim, row);
      if (same_bits(got, expected)) continue;
      const auto number = [where =
                               got.ne(expected).flatten().to(at::kByte).argmax()](const auto& x) {
        return x.flatten()[where.template item<int64_t>()].template item<double>();
      };
      return {true, fmt::format("row {} of {} has {} where row {} of {} has {}", row, size,
                                number(got), row, most, number(expected))};
    }
  }
  return {false, fmt::format("the rows of {} have the bits of the first of {}",
                             fmt::join(subject.sizes, ", "), most)};
}

std::vector<int64_t> sizes_to_try(int64_t ranks) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size <= 2 * ranks + 1; ++size) sizes.push_back(size);
  return sizes;
}

}  // namespace samebits
