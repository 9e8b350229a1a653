// Whole generations, prompts in, sampled tokens out, in each of the generator's modes: of a model
// that is asked for (`--model`), of a random Qwen3-0.6B on a card, of the tiny shape on the CPU.
// bench/peers/hf_generate.py measures the same of Transformers; bench/peers/table.py makes a table.
// A name tells the tokens of each prompt, the sequences and the new tokens of each. A run is as
// many such batches as give kTokens new tokens; the iterations are the runs that the figures are
// over, after a batch that captures and warms up. `prompt:30/sequences:40/new:20` is a rollout: 5
// prompts, 8 samples each.
//
// Of every run, and then mean, sample deviation, median, least and most of the runs:
// rate_*   new tokens a second
// first_*  milliseconds until every sequence of a batch has its first token; the batches' mean
// token_*  milliseconds from one token of a sequence to its next, from the first token to the last
//          of the same batch; the batches' mean
// peak     bytes of tensors at once, on the card or on the CPU
// reserved bytes that the card's allocator had at once, with what it kept of earlier benchmarks
// pool     bytes of the graphs' pool, which is never given back

#include "bench/generator_bench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "bench/byte_counter.h"
#include "bench/qwen3_600m.h"
#include "bench/random_qwen3.h"
#include "harness/base/error.h"
#include "harness/base/stopwatch.h"
#include "harness/observe/tensor_memory.h"
#include "harness/workload/engine.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

constexpr int64_t kPageTokens = 16;
constexpr int64_t kMaxBatchTokens = 2048;  // a long prompt, or all short ones, in one step
constexpr int64_t kTokens = 2048;          // of a run, at least
constexpr int64_t kRuns = 5;

struct Subject {
  std::string name;
  c10::DeviceType device;
  std::function<std::unique_ptr<Decoder>()> make;
  std::function<void(const Mode&)> check = [](const Mode&) {};  // throws where it cannot serve one
};

struct Shape {
  int64_t prompt;
  int64_t sequences;
  int64_t new_tokens;  // of each sequence
};

struct NamedMode {
  std::string name;
  Mode mode;
};

std::vector<NamedMode> modes() {
  std::vector<NamedMode> modes;
  for (const auto& [word, execution] : names_of(Execution())) {
    if (execution == Execution::kAotInductor) continue;  // a package serves one seed
    modes.push_back({word, {execution, GuardPolicy::kDrop}});
  }
  modes.push_back(
      {"full_graph_fused", {Execution::kFullGraph, GuardPolicy::kDrop, {GraphPass::kFuse}}});
  return modes;
}

std::vector<Request> requests_of(const Shape& shape, int64_t vocab) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < shape.sequences; ++i) {
    std::vector<int64_t> tokens(shape.prompt);
    for (int64_t t = 0; t < shape.prompt; ++t) tokens[t] = (31 * i + 7 * t + 1) % vocab;
    requests.push_back({i, std::move(tokens), {}});
  }
  return requests;
}

Engine make_engine(const Decoder& model, const Mode& mode, const Shape& shape) {
  EngineSettings settings;
  settings.max_batch_tokens = kMaxBatchTokens;
  settings.block_size = kPageTokens;
  settings.blocks =
      shape.sequences * Engine::blocks_for(shape.prompt + shape.new_tokens, kPageTokens);
  settings.mode = mode;
  return Engine(model, settings);
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return (x[(x.size() - 1) / 2] + x[x.size() / 2]) / 2;
}

double sample_sd(const std::vector<double>& x) {
  if (x.size() < 2) return 0;
  double squares = 0;
  for (const double value : x) squares += (value - mean(x)) * (value - mean(x));
  return std::sqrt(squares / static_cast<double>(x.size() - 1));
}

void count(benchmark::State& state, const std::string& name, const std::vector<double>& runs) {
  state.counters[name + "_mean"] = mean(runs);
  state.counters[name + "_sd"] = sample_sd(runs);
  state.counters[name + "_median"] = median(runs);
  state.counters[name + "_least"] = *std::min_element(runs.begin(), runs.end());
  state.counters[name + "_most"] = *std::max_element(runs.begin(), runs.end());
}

struct BatchTimes {
  double first_ms;
  double token_ms;
};

// One batch, its times taken as the tokens come.
BatchTimes generate_batch(Engine& engine, const std::vector<Request>& requests, const Shape& shape,
                          int64_t new_tokens) {
  const Sampling sampling{/*seed=*/1,        new_tokens,
                          /*temperature=*/1, /*top_k=*/0,
                          /*top_p=*/1,       /*ignores_ends=*/true};
  std::vector<bool> has_first(requests.size());
  int64_t without = shape.sequences;
  double first_ms = 0;
  const Stopwatch watch;
  engine.generate(requests, sampling, /*observer=*/nullptr, [&](size_t request) {
    if (has_first[request]) return;
    has_first[request] = true;
    if (--without == 0) first_ms = watch.seconds() * 1e3;
  });
  const double rest_ms = watch.seconds() * 1e3 - first_ms;
  return {first_ms, rest_ms / static_cast<double>(std::max<int64_t>(new_tokens - 1, 1))};
}

void generate(benchmark::State& state, const Subject& subject, const Mode& mode,
              const Shape& shape) {
  if (is_skipped(state, subject.device)) return;
  try {
    subject.check(mode);
  } catch (const InputError& error) {
    state.SkipWithError(error.what());
    return;
  }
  const bool on_card = subject.device == c10::DeviceType::CUDA;
  reset_peak_device_memory();
  TensorMemory memory;
  const auto counting = memory.count();

  const std::unique_ptr<Decoder> model = subject.make();
  Engine engine = make_engine(*model, mode, shape);
  const std::vector<Request> requests = requests_of(shape, model->config().vocab_size);
  generate_batch(engine, requests, shape, std::min<int64_t>(shape.new_tokens, 64));

  const int64_t of_batch = shape.sequences * shape.new_tokens;
  const int64_t batches = (kTokens + of_batch - 1) / of_batch;
  std::vector<double> rate, first, token;
  for (auto _ : state) {
    std::vector<double> firsts, tokens;
    const Stopwatch watch;
    for (int64_t i = 0; i < batches; ++i) {
      const BatchTimes times = generate_batch(engine, requests, shape, shape.new_tokens);
      firsts.push_back(times.first_ms);
      tokens.push_back(times.token_ms);
    }
    rate.push_back(static_cast<double>(batches * of_batch) / watch.seconds());
    first.push_back(mean(firsts));
    token.push_back(mean(tokens));
  }
  count(state, "rate", rate);
  count(state, "first", first);
  count(state, "token", token);
  state.counters["tokens"] = static_cast<double>(state.iterations() * batches * of_batch);
  const auto count_bytes = [&](const char* name, int64_t bytes) {
    state.counters[name] = byte_counter(bytes);
  };
  count_bytes("peak", on_card ? peak_device_memory() : memory.peak());
  if (on_card) count_bytes("reserved", peak_reserved_device_memory());
  count_bytes("pool", static_cast<int64_t>(engine.runner().pool_bytes()));
}

void add(const Subject& subject, const std::vector<Shape>& shapes, int64_t runs = kRuns) {
  for (const NamedMode& each : modes()) {
    for (const Shape& shape : shapes) {
      const std::string name = "generator/" + subject.name + "/" + each.name;
      benchmark::RegisterBenchmark(name.c_str(),
                                   [subject, mode = each.mode, shape](benchmark::State& state) {
                                     generate(state, subject, mode, shape);
                                   })
          ->ArgNames({"prompt", "sequences", "new"})
          ->Args({shape.prompt, shape.sequences, shape.new_tokens})
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime()
          ->Iterations(runs);
    }
  }
}

Subject random_subject(const std::string& name, DecoderConfig (*config)(), c10::DeviceType device) {
  return {name, device, [=] { return random_qwen3(config(), Numerics(), device); }};
}

const bool kBuiltIn = [] {
  const Subject large = random_subject("0.6B", qwen3_600m, c10::DeviceType::CUDA);
  add(large, {{16, 1, 2048}, {2048, 1, 256}, {16, 40, 52}, {30, 40, 20}});
  add(large, {{2048, 40, 52}}, /*runs=*/2);  // 81,920 tokens of prompts
  add(random_subject("tiny-shape", qwen3_tiny, c10::DeviceType::CPU), {{16, 1, 64}, {30, 40, 20}});
  return true;
}();

}  // namespace

std::string add_generator_benchmarks(const ArmSettings& arm) {
  const std::filesystem::path folder = std::filesystem::absolute(arm.model).lexically_normal();
  Subject subject;
  subject.name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  if (arm.mesh.tp > 1) subject.name += "-tp" + std::to_string(arm.mesh.tp);
  subject.device = arm.device == DeviceKind::kCuda ? c10::DeviceType::CUDA : c10::DeviceType::CPU;
  subject.make = [arm] { return make_model(arm, arm.generator, make_parallel(arm)); };
  subject.check = [arm = ArmSettings(arm)](const Mode& mode) mutable {
    static_cast<Mode&>(arm.generator) = mode;
    check_mode(arm);
  };
  const int64_t positions = subject.make()->config().max_position_embeddings;
  std::vector<Shape> shapes;
  for (const int64_t sequences : {1, 8, 40}) {
    const int64_t prompt = std::min<int64_t>(16, positions / 2);
    const int64_t wanted = (kTokens + sequences - 1) / sequences;
    shapes.push_back({prompt, sequences, std::min(wanted, positions - prompt)});
  }
  add(subject, shapes);
  return subject.name;
}

}  // namespace samebits
