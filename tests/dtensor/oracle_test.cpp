// Against what torch.distributed.tensor does, as recorded in tests/oracle/dtensor/ (see the README
// there). Values are equal everywhere. Placements and local tensors are equal too, except where the
// table below says that samebits chooses otherwise, and why.

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/dtensor/support.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using namespace testing_support;
using Json = nlohmann::json;
using Mesh = c10::intrusive_ptr<DeviceMesh>;

// Operators that are placed otherwise than upstream's in some cases, or refused.
struct Difference {
  bool refuses;  // upstream serves some calls that samebits refuses
  const char* reason;
};
const std::map<std::string, Difference> kDifferences = {
    {"add.Tensor", {false, "P + R: upstream divides R by n, which rounds; here the sum is ended"}},
    {"sub.Tensor", {false, "as add.Tensor"}},
    {"cat", {false, "as add.Tensor"}},
    {"mul.Tensor", {false, "P * x: summands round before the sum; here the sum is ended first"}},
    {"div.Tensor", {false, "as mul.Tensor"}},
    {"mul_.Tensor", {true, "as mul.Tensor; in place that is an error"}},
    {"add_.Tensor", {true, "as add.Tensor; in place that is an error"}},
    {"copy_", {true, "R into P is an error: a value is never split into summands"}},
    {"fill_.Scalar", {true, "on P an error: n summands of the value are n times the value"}},
    {"mean", {false, "upstream may leave a pending average; here the whole sum is divided"}},
    {"mm", {false, "upstream weighs the cost of communication; here placements alone decide"}},
    {"linear", {false, "as mm"}},
    {"embedding", {false, "rows over ranks are gathered; samebits::embedding splits them"}},
    {"embedding_dense_backward", {false, "a sum over tokens is in token order, never split"}},
    {"view", {false, "a group that cannot keep its rows is gathered; upstream raises"}},
    {"reshape", {false, "as view"}},
    {"_unsafe_view", {false, "as view"}},
    {"expand", {false, "a stretched dimension of 1 is gathered; upstream raises"}},
    {"index_select", {false, "upstream 2.11 raises for this call"}},
    {"squeeze.dim", {false, "a sharded dimension of 1 is gathered before it goes"}},
};

Json records_of(const std::string& file) {
  std::ifstream in(source_path("tests/oracle/dtensor/") + file);
  const Json document = Json::parse(in);
  EXPECT_EQ(document.at("torch"), "2.11.0");
  return document.at("records");
}

at::ScalarType dtype_of(const Json& holder) {
  const std::string name = holder.value("dtype", "float32");
  static const std::map<std::string, at::ScalarType> types = {
      {"float32", at::kFloat}, {"float64", at::kDouble}, {"int64", at::kLong}};
  return types.at(name);
}

at::Tensor tensor_of(const Json& numbers, const std::vector<int64_t>& shape, at::ScalarType dtype) {
  const auto values = numbers.get<std::vector<double>>();
  return at::tensor(values, at::kDouble).view(shape).to(dtype);
}

// X of an INPUT, before it is laid out.
at::Tensor whole_of(const Json& input) {
  const auto shape = input.at("shape").get<std::vector<int64_t>>();
  if (input.contains("values")) return tensor_of(input["values"], shape, dtype_of(input));
  int64_t numel = 1;
  for (const int64_t size : shape) numel *= size;
  const int64_t start = input.value("start", 0);
  return at::arange(start, start + numel, dtype_of(input)).view(shape);
}

Placements read_placements(const Json& text) {
  return Placements::from_text(text.get<std::string>());
}

at::Tensor dtensor_of(const Json& input, const Mesh& mesh) {
  const at::Tensor whole = whole_of(input);
  const DTensorSpec spec = {mesh, read_placements(input.at("placement"))};
  if (!spec.placements.has_partial()) return distribute_tensor(whole, mesh, spec.placements);
  Placements cut = spec.placements;
  for (int64_t d = 0; d < cut.dims(); ++d) {
    if (cut[d].is_partial()) cut[d] = Placement::replicate();
  }
  std::vector<at::Tensor> locals = locals_of(distribute_tensor(whole, mesh, cut));
  for (int64_t rank = 0; rank < mesh->size(); ++rank) {
    for (int64_t d = 0; d < mesh->dims(); ++d) {
      if (spec.placements[d].is_partial())
        locals[rank] = locals[rank] * (mesh->coordinate(rank, d) + 1);
    }
  }
  return make_dtensor(spec, whole.sym_sizes(), whole.scalar_type(), locals);
}

// The one value that an INPUT stands for.
at::Tensor plain_of(const Json& input, const DeviceMesh& mesh) {
  at::Tensor whole = whole_of(input);
  const Placements placements = read_placements(input.at("placement"));
  for (int64_t d = 0; d < mesh.dims(); ++d) {
    const int64_t n = mesh.size(d);
    if (placements[d].is_partial()) whole = whole * (n * (n + 1) / 2);
  }
  return whole;
}

c10::IValue argument_of(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return c10::IValue(dtype_of(Json{{"dtype", value}}));
  if (value.is_array()) return value.get<std::vector<int64_t>>();
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  return value.get<double>();
}

at::Tensor call(const std::string& op, const std::vector<at::Tensor>& tensors, const Json& args) {
  const auto dot = op.find('.');
  const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(
      ("aten::" + op.substr(0, dot)).c_str(),
      dot == std::string::npos ? "" : op.substr(dot + 1).c_str());
  torch::jit::Stack stack;
  size_t next = 0;
  for (const c10::Argument& argument : handle.schema().arguments()) {
    const auto kind = argument.type()->kind();
    if (args.contains(argument.name())) {
      stack.push_back(argument_of(args[argument.name()]));
    } else if (kind == c10::TypeKind::TensorType) {
      stack.emplace_back(tensors.at(next++));
    } else if (argument.type()->isSubtypeOf(*c10::ListType::ofTensors())) {
      stack.emplace_back(tensors);
    } else {
      stack.push_back(argument.default_value().value());
    }
  }
  handle.callBoxed(&stack);
  return stack[0].toTensor();
}

// Under R the locals are left out where all are the full tensor.
testing::AssertionResult same_locals(const at::Tensor& found, const Json& out) {
  const auto& locals = locals_of(found);
  const auto numbers_of = [&](size_t rank) {
    return out.contains("locals") ? out["locals"][rank] : out.at("full");
  };
  for (size_t i = 0; i < locals.size(); ++i) {
    const auto shape = out.at("local_shapes")[i].get<std::vector<int64_t>>();
    // at::equal and not the bits: the record does not keep the sign of a zero.
    if (locals[i].sizes() != at::IntArrayRef(shape) ||
        !at::equal(locals[i], tensor_of(numbers_of(i), shape, dtype_of(out)))) {
      return testing::AssertionFailure() << "rank " << i << ": found " << locals[i];
    }
  }
  return testing::AssertionSuccess();
}

class OracleTest : public testing::Test {
 protected:
  const Mesh& mesh_of(const Json& record) {
    const auto sizes = record.contains("mesh") ? record["mesh"].get<std::vector<int64_t>>()
                                               : std::vector<int64_t>{record.at("n")};
    Mesh& mesh = meshes_[sizes];
    if (!mesh) mesh = make_local_grid(sizes);
    return mesh;
  }

  // The placement, the local tensors, the whole.
  void expect_same(const at::Tensor& found, const Json& record) {
    const Json& out = record.at("out");
    EXPECT_EQ(spec_of(found).placements.text(), out.at("placement").get<std::string>()) << record;
    EXPECT_EQ(found.sizes().vec(), out.at("shape").get<std::vector<int64_t>>()) << record;
    EXPECT_TRUE(same_locals(found, out)) << record;
  }

  void compare_redistribution(const Json& record) {
    const Mesh& ranks = mesh_of(record);
    const Json& input = record.at("inputs")[0];
    const Placements to = read_placements(record.at("args").at("to"));
    const auto run = [&] {
      return record.at("op") == "redistribute" ? redistribute(dtensor_of(input, ranks), to)
                                               : distribute_tensor(whole_of(input), ranks, to);
    };
    if (record.contains("raises")) {
      EXPECT_NE(error_of(run), "") << record;
    } else {
      expect_same(run(), record);
    }
  }

  // Whether it is one of those that samebits has.
  bool compare_gradient(const Json& record) {
    const Mesh& ranks = mesh_of(record);
    const std::string op = record.at("op");
    const Json& inputs = record.at("inputs");
    const at::Tensor x = dtensor_of(inputs[0], ranks).requires_grad_(true);
    if (op == "redistribute") {
      const at::Tensor grad = dtensor_of(inputs[1], ranks);
      const Placements to = read_placements(record.at("args").at("to"));
      expect_same(torch::autograd::grad({redistribute(x, to)}, {x}, {grad})[0], record);
    } else if (op == "to_local") {
      if (!record.at("args").at("grad_placement").is_null())
        return false;  // an option that we lack
      std::vector<at::Tensor> grads;
      const std::vector<at::Tensor> locals = to_local(x);
      for (size_t r = 0; r < locals.size(); ++r) {
        const int64_t numel = locals[r].numel();
        grads.push_back(at::arange(1, numel + 1, at::kFloat).view(locals[r].sizes()) *
                        static_cast<int64_t>(r + 1));
      }
      expect_same(torch::autograd::grad(locals, {x}, grads)[0], record);
    } else if (op == "from_local") {
      std::vector<at::Tensor> locals;
      for (const at::Tensor& local : locals_of(x)) {
        locals.push_back(local.clone().requires_grad_(true));
      }
      const at::Tensor y = from_local(locals, ranks, spec_of(x).placements);
      const auto found = torch::autograd::grad({y}, locals, {dtensor_of(inputs[1], ranks)});
      const Json& out = record.at("out");
      for (size_t r = 0; r < found.size(); ++r) {
        const auto shape = out.at("local_shapes")[r].get<std::vector<int64_t>>();
        const Json& numbers = out.contains("locals") ? out["locals"][r] : out.at("full");
        EXPECT_TRUE(at::equal(found[r], tensor_of(numbers, shape, at::kFloat))) << record;
      }
    } else {
      ADD_FAILURE() << "unknown operation " << op;
    }
    return true;
  }

  std::map<std::vector<int64_t>, Mesh> meshes_;
};

TEST_F(OracleTest, Redistribute) {
  for (const char* file : {"redistribute.json", "grid_redistribute.json"}) {
    const Json records = records_of(file);
    EXPECT_GT(records.size(), 1000u);
    for (const Json& record : records) compare_redistribution(record);
  }
}

TEST_F(OracleTest, Gradients) {
  for (const char* file : {"autograd.json", "grid_autograd.json"}) {
    std::map<std::string, int64_t> compared;
    for (const Json& record : records_of(file)) {
      if (record.contains("raises")) continue;
      if (compare_gradient(record)) ++compared[record.at("op")];
    }
    EXPECT_GT(compared["redistribute"], 100);
    EXPECT_GT(compared["to_local"], 20);
    EXPECT_GT(compared["from_local"], 100);
  }
}

TEST_F(OracleTest, Operators) {
  int64_t same = 0;
  std::map<std::string, int64_t> other;
  const auto run = [&](const Json& record) {
    const Mesh& ranks = mesh_of(record);
    const std::string op = record.at("op");
    const Json args = record.value("args", Json::object());
    std::vector<at::Tensor> tensors;
    std::vector<at::Tensor> plain;
    for (const Json& input : record.at("inputs")) {
      tensors.push_back(dtensor_of(input, ranks));
      plain.push_back(plain_of(input, *ranks));
    }
    // What upstream returned although its locals do not fit is no model either.
    const bool upstream_fails =
        record.contains("raises") || record.at("out").value("invalid", false);
    const auto difference = kDifferences.find(op);
    const bool may_differ = difference != kDifferences.end();

    at::Tensor found;
    const std::string error = error_of([&] { found = call(op, tensors, args); });
    if (!error.empty()) {
      EXPECT_TRUE(upstream_fails || (may_differ && difference->second.refuses)) << error << record;
      ++(upstream_fails ? same : other[op]);
      return;
    }
    EXPECT_TRUE(at::equal(full_tensor(found), call(op, plain, args))) << record;
    const Placements& placements = spec_of(found).placements;
    const bool as_upstream =
        !upstream_fails && placements.text() == record.at("out").at("placement").get<std::string>();
    // Summands may be other ones where inputs were brought to other placements.
    const bool other_summands =
        as_upstream && may_differ && placements.has_partial() && !same_locals(found, record["out"]);
    if (as_upstream && !other_summands) {
      expect_same(found, record);
      ++same;
    } else {
      EXPECT_TRUE(may_differ) << placements << " " << record;
      ++other[op];
    }
  };
  for (const char* file : {"ops_pointwise.json", "ops_shape.json", "ops_reduce.json",
                           "ops_matmul.json", "grid_ops.json"}) {
    for (const Json& record : records_of(file)) {
      // samebits::embedding, which splits rows, has its own test.
      if (record.at("op") != "embedding_redistribute") run(record);
    }
  }
  for (const auto& [op, difference] : kDifferences) {
    EXPECT_GT(other[op], 0) << op << " does not differ; take it off the table";
    std::cout << "[ placed   ] " << op << ": " << other[op] << " calls otherwise. "
              << difference.reason << "\n";
  }
  EXPECT_GT(same, 7000);
}

TEST_F(OracleTest, TheComparisonSeesAnotherPlacementAndAnotherRow) {
  const Json records = records_of("redistribute.json");
  const auto found = std::find_if(records.begin(), records.end(), [](const Json& record) {
    return record.at("op") == "redistribute" && record.at("n") == 2 && record.contains("out") &&
           record.at("inputs")[0].at("shape") == Json({3, 3}) &&
           record.at("inputs")[0].at("placement") == "R" && record.at("args").at("to") == "S(0)";
  });
  ASSERT_NE(found, records.end());
  const at::Tensor x = dtensor_of(found->at("inputs")[0], mesh_of(*found));
  EXPECT_TRUE(same_locals(redistribute(x, Placement::shard(0)), found->at("out")));
  EXPECT_FALSE(same_locals(redistribute(x, Placement::shard(1)), found->at("out")));
  EXPECT_FALSE(same_locals(redistribute(x + 1, Placement::shard(0)), found->at("out")));
}

}  // namespace
}  // namespace samebits
