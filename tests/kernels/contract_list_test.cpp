// Every operator of the contract list is complete. The list is read from the dispatcher, so a new
// operator fails here until it has all its entries and an example.

#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <functional>
#include <map>
#include <set>

#include "harness/kernels/functional.h"
#include "harness/kernels/shape_rule.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using ::testing::IsEmpty;
using testing::random_tensor;

std::vector<std::string> operators_of(const std::string& library) {
  std::vector<std::string> names;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind(library + "::", 0) == 0) names.push_back(toString(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

c10::OperatorHandle handle_of(const std::string& name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), "");
}

// What an operator lacks, of what kernels/ must give it.
std::vector<std::string> missing_entries(const std::string& name) {
  std::vector<std::string> missing;
  const auto op = handle_of(name);
  if (!op.hasKernelForDispatchKey(c10::DispatchKey::CPU)) missing.push_back("CPU kernel");
  if (!op.hasKernelForDispatchKey(c10::DispatchKey::Autograd)) missing.push_back("autograd");
  if (!has_shape_rule(name)) missing.push_back("shape rule");
  return missing;
}

TEST(ContractList, EveryOperatorHasAKernelAutogradAndAShapeRule) {
  const auto operators = operators_of("samebits");
  EXPECT_GE(operators.size(), 24u);
  for (const auto& name : operators) EXPECT_THAT(missing_entries(name), IsEmpty()) << name;
}

TEST(ContractList, SeesWhatABareOperatorLacks) {
  torch::Library library(torch::Library::DEF, "samebits_test", std::nullopt, __FILE__, __LINE__);
  library.def("bare(Tensor x) -> Tensor");
  EXPECT_THAT(operators_of("samebits_test"), ::testing::ElementsAre("samebits_test::bare"));
  EXPECT_THAT(missing_entries("samebits_test::bare"),
              ::testing::ElementsAre("CPU kernel", "autograd", "shape rule"));
}

// Sizes of one example of every operator.
struct Sizes {
  int64_t tokens, heads, groups, dim, hidden, out, vocab;
};

at::Tensor cumulative(std::initializer_list<int64_t> ends) {
  return at::tensor(std::vector<int64_t>(ends)).to(at::kInt);
}

using Args = std::vector<c10::IValue>;

// Arguments in schema order. dtype is that of activations and weights.
std::map<std::string, std::function<Args()>> examples(const Sizes& n, at::ScalarType dtype) {
  const auto random = [dtype](at::IntArrayRef sizes) { return random_tensor(sizes, dtype, 1); };
  const auto floats = [](at::IntArrayRef sizes) { return random_tensor(sizes, at::kFloat, 2); };
  const at::Tensor x = random({1, n.tokens, n.hidden});
  const at::Tensor y = random({1, n.tokens, n.out});
  const at::Tensor weight = random({n.out, n.hidden});
  const at::Tensor norm = random({n.hidden});
  const at::Tensor q = random({1, n.tokens, n.heads, n.dim});
  const at::Tensor head_norm = random({n.dim});
  const at::Tensor k = random({1, n.tokens, n.groups, n.dim});
  const at::Tensor cos = floats({n.tokens, n.dim / 2});
  const at::Tensor positions = at::arange(n.tokens, at::kLong).unsqueeze(0);
  const at::Tensor ids = positions.remainder(n.vocab);
  const at::Tensor table = random({n.vocab, n.hidden});
  const at::Tensor cu_seqlens = cumulative({0, n.tokens / 2, n.tokens});
  const at::Tensor logits = random({n.tokens, n.vocab + 3});
  const at::Tensor targets = ids[0].contiguous();
  const at::Tensor row = floats({n.tokens});
  const int64_t blocks = n.tokens;  // blocks of 4 rows: a sequence has n.tokens / 4 + 1 of them
  const at::Tensor cache = random({2 * blocks, 4, n.groups, n.dim});
  const at::Tensor block_table = at::arange(2 * blocks, at::kInt).view({2, blocks});
  const at::Tensor seq_lens = cumulative({n.tokens / 2, n.tokens - n.tokens / 2});
  const double scale = 0.25;
  return {
      {"samebits::linear",
       [=] {
         return Args{x, weight, 0, 0, at::kFloat};
       }},
      {"samebits::linear_dgrad",
       [=] {
         return Args{y, weight, 0};
       }},
      {"samebits::linear_wgrad",
       [=] {
         return Args{y, x};
       }},
      {"samebits::rms_norm",
       [=] {
         return Args{x, norm, 1e-6, false};
       }},
      {"samebits::rms_norm_dgrad",
       [=] {
         return Args{x, x, norm, 1e-6};
       }},
      {"samebits::rms_norm_wgrad",
       [=] {
         return Args{x, x, 1e-6};
       }},
      {"samebits::rope",
       [=] {
         return Args{q, cos, cos, positions, false};
       }},
      {"samebits::rms_norm_rope", [=] { return Args{q, head_norm, 1e-6, cos, cos, positions}; }},
      {"samebits::silu_mul",
       [=] {
         return Args{x, x, false};
       }},
      {"samebits::silu_mul_backward",
       [=] {
         return Args{x, x, x};
       }},
      {"samebits::residual_add",
       [=] {
         return Args{x, x};
       }},
      {"samebits::residual_rms_norm",
       [=] {
         return Args{x, x, norm, 1e-6};
       }},
      {"samebits::linear_residual_add",
       [=] {
         return Args{x, weight, 0, dtype, y};
       }},
      {"samebits::rms_norm_linear_qkv",
       [=] { return Args{x, norm, 1e-6, weight, weight, weight, dtype}; }},
      {"samebits::rms_norm_linear_silu_mul",
       [=] { return Args{x, norm, 1e-6, weight, weight, dtype}; }},
      {"samebits::rms_norm_rope_paged_attention_",
       [=] {
         return Args{q,    head_norm, k,           head_norm,     1e-6,
                     cos,  cos,       positions,   cache.clone(), cache.clone(),
                     k,    targets,   block_table, cu_seqlens,    seq_lens,
                     scale};
       }},
      {"samebits::rms_norm_rope_qk_write_kv_",
       [=] {
         return Args{q,   head_norm, k,         head_norm,     1e-6,
                     cos, cos,       positions, cache.clone(), cache.clone(),
                     k,   targets};
       }},
      {"samebits::embedding",
       [=] {
         return Args{ids, table, 0};
       }},
      {"samebits::embedding_wgrad",
       [=] {
         return Args{x, ids, table, 0};
       }},
      {"samebits::flash_attention",
       [=] {
         return Args{q, k, k, cu_seqlens, scale};
       }},
      {"samebits::flash_attention_backward",
       [=] {
         const auto [out, lse] = ops::flash_attention(q, k, k, cu_seqlens, scale);
         return Args{q, q, k, k, out, lse, cu_seqlens, scale};
       }},
      {"samebits::paged_attention",
       [=] { return Args{q, cache, cache, block_table, cu_seqlens, seq_lens, scale}; }},
      {"samebits::write_kv",
       [=] {
         return Args{cache.clone(), cache.clone(), k, k, targets};
       }},
      {"samebits::rms_norm_rope_write_kv_",
       [=] {
         return Args{k,         head_norm,     1e-6,          cos, cos,
                     positions, cache.clone(), cache.clone(), k,   targets};
       }},
      {"samebits::log_softmax_gather",
       [=] {
         return Args{logits, targets, n.vocab};
       }},
      {"samebits::log_softmax_gather_backward",
       [=] {
         return Args{row, logits, targets, row, n.vocab};
       }},
      {"samebits::sample",
       [=] {
         return Args{logits, at::stack({targets, targets}, 1), n.vocab, 42, 1.0, 0, 1.0};
       }},
      {"samebits::grpo_loss",
       [=] {
         return Args{row, row, at::ones({}), at::scalar_tensor(n.tokens, at::kLong),
                     1,   0.2, 0.01,         0.1};
       }},
      {"samebits::grpo_loss_backward",
       [=] {
         return Args{
             at::ones({}), row,  row, at::ones({}), at::scalar_tensor(n.tokens, at::kLong), 1,
             0.2,          0.01, 0.1};
       }},
      {"samebits::sum_squares",
       [=] {
         return Args{weight, 0, 2};
       }},
      {"samebits::clip_scale",
       [=] {
         return Args{c10::List<at::Tensor>({at::ones({}), at::ones({})}), 1.0};
       }},
      {"samebits::digest_sums", [=] { return Args{weight}; }},
      {"samebits::digest_rows",
       [=] {
         return Args{c10::List<at::Tensor>({weight, x}), c10::List<int64_t>({n.hidden, n.hidden}),
                     c10::List<int64_t>({-1, 0}), at::tensor({n.tokens - 1})};
       }},
      {"samebits::adamw_",
       [=] {
         const at::Tensor state = at::zeros({n.hidden});
         return Args{norm.clone(),
                     state.clone(),
                     state.clone(),
                     state.clone(),
                     norm,
                     at::ones({}),
                     at::scalar_tensor(1, at::kLong),
                     1e-3,
                     0.9,
                     0.999,
                     1e-8,
                     0.01};
       }},
      {"samebits::mark",
       [=] {
         return Args{x, "here"};
       }},
  };
}

std::vector<at::Tensor> call(const std::string& name, const Args& args) {
  torch::jit::Stack stack(args.begin(), args.end());
  handle_of(name).callBoxed(stack);
  std::vector<at::Tensor> outputs;
  for (const auto& value : stack) outputs.push_back(value.toTensor());
  return outputs;
}

// The first argument, or the first of a list that it is.
at::Tensor first_tensor(const Args& args) {
  return args[0].isTensorList() ? args[0].toTensorVector()[0] : args[0].toTensor();
}

void replace_first_tensor(Args& args, const at::Tensor& tensor) {
  if (!args[0].isTensorList()) {
    args[0] = tensor;
    return;
  }
  c10::List<at::Tensor> list = args[0].toTensorList().copy();
  list.set(0, tensor);
  args[0] = list;
}

bool agrees(const std::vector<TensorMeta>& metas, const std::vector<at::Tensor>& outputs) {
  if (metas.size() != outputs.size()) return false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (metas[i].dtype != outputs[i].scalar_type()) return false;
    if (outputs[i].sym_sizes() != c10::SymIntArrayRef(metas[i].sizes)) return false;
    if (!outputs[i].is_contiguous()) return false;
  }
  return true;
}

TEST(ContractList, EveryOperatorHasAnExampleHere) {
  const auto known = examples({4, 4, 2, 16, 32, 16, 10}, at::kFloat);
  for (const auto& name : operators_of("samebits")) EXPECT_EQ(known.count(name), 1u) << name;
}

TEST(ContractList, ShapeRulesAgreeWithTheOperators) {
  for (const auto dtype : testing::kDtypes) {
    for (const Sizes& sizes : {Sizes{4, 4, 2, 16, 32, 16, 10}, Sizes{9, 6, 2, 32, 48, 21, 13},
                               Sizes{2, 2, 2, 64, 7, 5, 3}, Sizes{33, 8, 1, 16, 64, 40, 100}}) {
      for (const auto& [name, make] : examples(sizes, dtype)) {
        const Args args = make();
        EXPECT_TRUE(agrees(infer_shapes(name, args), call(name, args))) << name;
      }
    }
  }
}

TEST(ContractList, AShapeRuleThatDisagreesIsSeen) {
  const at::Tensor x = at::ones({2, 3});
  EXPECT_TRUE(agrees({{{2, 3}, at::kFloat}}, {x}));
  EXPECT_FALSE(agrees({{{2, 4}, at::kFloat}}, {x}));
  EXPECT_FALSE(agrees({{{2, 3}, at::kBFloat16}}, {x}));
  EXPECT_FALSE(agrees({}, {x}));
}

TEST(ContractList, ShapeRulesRefuseWhatOperatorsRefuse) {
  const std::set<std::string> take_any_size{"samebits::digest_rows", "samebits::digest_sums",
                                            "samebits::embedding", "samebits::mark",
                                            "samebits::sum_squares"};
  const std::set<std::string> free_in_the_last{"samebits::linear_wgrad",
                                               "samebits::log_softmax_gather", "samebits::sample"};
  for (const auto& [name, make] : examples({4, 4, 2, 16, 32, 16, 10}, at::kFloat)) {
    if (take_any_size.count(name) != 0) continue;
    Args args = make();
    auto sizes = first_tensor(args).sizes().vec();
    if (sizes.empty()) sizes.push_back(0);
    (free_in_the_last.count(name) != 0 ? sizes.front() : sizes.back()) += 2;
    replace_first_tensor(args, at::ones(sizes));
    EXPECT_THROW(infer_shapes(name, args), c10::Error) << name;
    EXPECT_THROW(call(name, args), c10::Error) << name;
  }
}

TEST(ContractList, EveryOperatorRunsUnderGradMode) {
  for (const auto& [name, make] : examples({4, 4, 2, 16, 32, 16, 10}, at::kFloat)) {
    Args args = make();
    const at::Tensor first = first_tensor(args);
    if (!first.is_floating_point()) continue;
    replace_first_tensor(args, first.detach().clone().requires_grad_());
    EXPECT_NO_THROW(call(name, args)) << name;
  }
}

}  // namespace
}  // namespace samebits
