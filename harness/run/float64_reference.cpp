#include "harness/run/float64_reference.h"

#include <ATen/ATen.h>
#include <ATen/core/List.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string>

#include "harness/dispatch/schema.h"
#include "harness/observe/computation.h"

namespace samebits {
namespace {

// The arguments of a call by the names of its schema, floating-point tensors in float64.
class Arguments {
 public:
  explicit Arguments(const Computation::Call& call) : call_(call) {}

  at::Tensor tensor(const std::string& name) const {
    const at::Tensor found = value(name).toTensor().cpu();
    return found.is_floating_point() ? found.to(at::kDouble) : found;
  }
  double number(const std::string& name) const { return value(name).toDouble(); }
  int64_t integer(const std::string& name) const { return value(name).toInt(); }
  bool flag(const std::string& name) const { return value(name).toBool(); }

 private:
  const c10::IValue& value(const std::string& name) const {
    const auto index = call_.op.schema().argumentIndexWithName(name);
    TORCH_CHECK(index, "no argument ", name);
    return call_.args.at(*index);
  }
  const Computation::Call& call_;
};

at::Tensor normed(const Arguments& in) {
  const at::Tensor x = in.tensor("x");
  const at::Tensor mean = x.square().mean(-1, /*keepdim=*/true);
  return x * (mean + in.number("eps")).rsqrt() * in.tensor("weight");
}

at::Tensor rotated(const Arguments& in) {
  const at::Tensor positions = in.tensor("positions").view({-1});
  const auto of_tokens = [&](const char* table) {
    return in.tensor(table).index_select(0, positions).unsqueeze(0).unsqueeze(2);
  };
  const at::Tensor c = of_tokens("cos");
  const at::Tensor s = in.flag("inverse") ? -of_tokens("sin") : of_tokens("sin");
  const std::vector<at::Tensor> halves = in.tensor("x").chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1);
}

at::Tensor embedded(const Arguments& in) {
  const at::Tensor weight = in.tensor("weight");
  const at::Tensor ids = in.tensor("ids") - in.integer("first_row");
  const at::Tensor is_here = (ids >= 0).logical_and(ids < weight.size(0));
  return weight.index_select(0, ids.clamp(0, weight.size(0) - 1).view({-1}))
             .view({ids.size(0), ids.size(1), -1}) *
         is_here.unsqueeze(-1);
}

// q [Q, H, D] at the last positions of k and v [K, G, D].
at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) {
  const int64_t group = q.size(1) / k.size(1);
  const auto by_head = [](const at::Tensor& x) { return x.transpose(0, 1); };
  const at::Tensor keys = by_head(k.repeat_interleave(group, 1));
  const at::Tensor values = by_head(v.repeat_interleave(group, 1));
  const at::Tensor seen = at::ones({q.size(0), k.size(0)}, at::kBool).tril(k.size(0) - q.size(0));
  const at::Tensor scores =
      (at::matmul(by_head(q), keys.transpose(1, 2)) * scale)
          .masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
  return by_head(at::matmul(at::softmax(scores, -1), values));
}

std::vector<int64_t> integers(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kLong).contiguous();
  const int64_t* data = wide.const_data_ptr<int64_t>();
  return {data, data + wide.numel()};
}

at::Tensor flash_attended(const Arguments& in) {
  const at::Tensor q = in.tensor("q");
  const std::vector<int64_t> starts = integers(in.tensor("cu_seqlens"));
  at::Tensor out = at::zeros_like(q);
  for (size_t s = 0; s + 1 < starts.size(); ++s) {
    const int64_t length = starts[s + 1] - starts[s];
    if (length == 0) continue;
    const auto rows = [&](const at::Tensor& x) { return x[0].narrow(0, starts[s], length); };
    rows(out).copy_(
        attended(rows(q), rows(in.tensor("k")), rows(in.tensor("v")), in.number("scale")));
  }
  return out;
}

at::Tensor paged_attended(const Arguments& in) {
  const at::Tensor q = in.tensor("q");
  const std::vector<int64_t> starts = integers(in.tensor("cu_seqlens"));
  const std::vector<int64_t> lengths = integers(in.tensor("seq_lens"));
  const at::Tensor table = in.tensor("block_table");
  at::Tensor out = at::zeros_like(q);
  for (size_t s = 0; s < lengths.size(); ++s) {
    const int64_t queries = starts[s + 1] - starts[s];
    if (queries == 0) continue;
    const auto gathered = [&](const char* name) {
      const at::Tensor cache = in.tensor(name);
      const int64_t pages = (lengths[s] + cache.size(1) - 1) / cache.size(1);
      return cache.index_select(0, table[static_cast<int64_t>(s)].narrow(0, 0, pages))
          .flatten(0, 1)
          .narrow(0, 0, lengths[s]);
    };
    out[0]
        .narrow(0, starts[s], queries)
        .copy_(attended(q[0].narrow(0, starts[s], queries), gathered("k_cache"),
                        gathered("v_cache"), in.number("scale")));
  }
  return out;
}

at::Tensor gathered_logprobs(const Arguments& in) {
  const at::Tensor logits = in.tensor("logits");
  return at::log_softmax(logits.narrow(-1, 0, in.integer("vocab")), -1)
      .gather(-1, in.tensor("targets").unsqueeze(-1))
      .squeeze(-1);
}

using Definition = std::function<at::Tensor(const Arguments&)>;

const std::map<std::string, Definition>& definitions() {
  static const std::map<std::string, Definition> all = {
      {"samebits::linear",
       [](const Arguments& in) { return at::linear(in.tensor("x"), in.tensor("weight")); }},
      {"samebits::linear_dgrad",
       [](const Arguments& in) { return at::matmul(in.tensor("dy"), in.tensor("weight")); }},
      {"samebits::rms_norm", normed},
      {"samebits::rope", rotated},
      {"samebits::silu_mul",
       [](const Arguments& in) { return at::silu(in.tensor("gate")) * in.tensor("up"); }},
      {"samebits::residual_add",
       [](const Arguments& in) { return in.tensor("x") + in.tensor("y"); }},
      {"samebits::embedding", embedded},
      {"samebits::flash_attention", flash_attended},
      {"samebits::paged_attention", paged_attended},
      {"samebits::log_softmax_gather", gathered_logprobs},
  };
  return all;
}

// LibTorch's operator on the same values in float64.
std::optional<at::Tensor> again_in_float64(const Computation::Call& call) {
  const auto widened = [](const at::Tensor& x) {
    return x.is_floating_point() ? x.cpu().to(at::kDouble) : x.cpu();
  };
  torch::jit::Stack stack;
  for (const c10::IValue& arg : call.args) {
    if (arg.isTensor() && arg.toTensor().defined()) {
      stack.emplace_back(widened(arg.toTensor()));
    } else if (arg.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& each : arg.toTensorVector()) list.push_back(widened(each));
      stack.emplace_back(list);
    } else if (!tensors_in(arg).empty()) {
      return std::nullopt;
    } else {
      stack.push_back(arg);
    }
  }
  call.op.callBoxed(stack);
  const std::vector<at::Tensor> results = tensors_in(stack.at(0));
  if (results.empty() || results[0].scalar_type() != at::kDouble) return std::nullopt;
  return results[0];
}

}  // namespace

std::optional<at::Tensor> float64_reference(const Computation::Call& call) {
  const c10::NoGradGuard no_grad;
  const auto& arguments = call.op.schema().arguments();
  if (std::any_of(arguments.begin(), arguments.end(), is_written)) return std::nullopt;
  const auto definition = definitions().find(call.name());
  if (definition != definitions().end()) return definition->second(Arguments(call));
  if (!call.name().starts_with("aten::")) return std::nullopt;
  try {
    return again_in_float64(call);
  } catch (const c10::Error&) {
    return std::nullopt;  // one that does not take float64
  }
}

}  // namespace samebits
