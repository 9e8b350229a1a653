// Graphs written, read and refused.

#include "harness/capture/graph_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/headeronly/version.h>

#include <bit>
#include <limits>
#include <map>
#include <random>

#include "harness/base/error.h"
#include "harness/capture/executor.h"
#include "harness/capture/parse_expr.h"
#include "harness/capture/passes/split.h"
#include "harness/capture/print.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/capture/support.h"
#include "tests/capture/test_ops.h"

namespace samebits {
namespace {

using test_ops::affine;
using ::testing::HasSubstr;

// The names of a test's constants and objects, both ways.
struct Store {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, c10::IValue> objects;

  GraphNames names() const {
    return {[this](const at::Tensor& tensor) {
              for (const auto& [name, known] : tensors) {
                if (known.is_same(tensor)) return name;
              }
              throw InputError("no name for a constant");
            },
            [this](const c10::IValue& object) {
              for (const auto& [name, known] : objects) {
                if (known.toCustomClass<DeviceMesh>() == object.toCustomClass<DeviceMesh>()) {
                  return name;
                }
              }
              throw InputError("no name for an object");
            }};
  }
  GraphReferences references() const {
    return {[this](const std::string& name) {
              const auto found = tensors.find(name);
              return found == tensors.end() ? at::Tensor() : found->second;
            },
            [this](const std::string& name) {
              const auto found = objects.find(name);
              return found == objects.end() ? c10::IValue() : found->second;
            }};
  }
};

std::shared_ptr<const ir::Graph> reloaded(const ir::Graph& graph, const Store& store) {
  const std::string text = save_graph(graph, store.names());
  auto loaded = std::make_shared<const ir::Graph>(load_graph(text, store.references(), "g.json"));
  EXPECT_EQ(to_string(*loaded), to_string(graph));
  EXPECT_EQ(save_graph(*loaded, store.names()), text);
  return loaded;
}

// Lists, optionals, factories, writes, marks, guards and sizes that are products and quotients.
Tensors everything(const Tensors& in, const at::Tensor& weight, const at::Tensor& cache) {
  const c10::SymInt n = in[0].sym_size(0);
  const Tensors half = test_ops::halves(in[0]);
  const at::Tensor joined = test_ops::join({half[1], half[0], in[0]});
  at::Tensor written = cache;
  test_ops::store(cache, half[0]);
  test_ops::accumulate_(written, in[1]);
  const bool many = n.sym_gt(4).guard_bool(__FILE__, __LINE__);
  const at::Tensor made = test_ops::make({n * 2, 3}, many ? 0.1 : -0.0);
  const at::Tensor scaled = affine(joined, weight, 1e-300);
  ops::mark(scaled, "scaled#0");
  return {test_ops::maybe_add(scaled, made), test_ops::maybe_add(written, std::nullopt),
          test_ops::repeat_rows(test_ops::demanding(in[0]), n.min(c10::SymInt(8))), in[1]};
}

class GraphFile : public ::testing::Test {
 protected:
  GraphFile() {
    store_.tensors["weight"] = rows(1);
    store_.tensors["cache"] = at::zeros({20, 3});
  }
  const at::Tensor& weight() const { return store_.tensors.at("weight"); }
  const at::Tensor& cache() const { return store_.tensors.at("cache"); }

  Store store_;
};

TEST_F(GraphFile, RoundTripPrintsAlikeAndHasTheSameBits) {
  const Program program = [&](const Tensors& in) { return everything(in, weight(), cache()); };
  const auto graph = traced(program, {rows(6), rows(1)}, {{0, 0, "s0"}});
  ASSERT_EQ(graph->guards.size(), 2u);
  const auto loaded = reloaded(*graph, store_);
  EXPECT_EQ(loaded->guards[0].str(), graph->guards[0].str());
  Executor original(graph);
  Executor executor(loaded);
  for (const int64_t n : {5, 6, 13}) {
    cache().zero_();
    const Tensors expected = original.run({rows(n), rows(1)});
    cache().zero_();
    const Tensors got = executor.run({rows(n), rows(1)});
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], expected[i])) << i;
  }
  // The twin: one digit of the text further, other bits.
  std::string text = save_graph(*graph, store_.names());
  const size_t at = text.find("\"value\":0.1");
  ASSERT_NE(at, std::string::npos);
  text.insert(at + 11, "0000001");
  Executor changed(
      std::make_shared<const ir::Graph>(load_graph(text, store_.references(), "g.json")));
  EXPECT_FALSE(same_bits(changed.run({rows(6), rows(1)})[0], original.run({rows(6), rows(1)})[0]));
}

TEST_F(GraphFile, IsOneLineForEachThing) {
  const auto graph = traced(
      [&](const Tensors& in) {
        const at::Tensor y = affine(in[0], weight(), 0.25);
        ops::mark(y, "y#0");
        test_ops::store(cache(), y);
        return Tensors{y};
      },
      {rows(6)}, {{0, 0, "s0", 1}});
  EXPECT_EQ(save_graph(*graph, store_.names()),
            R"({
  "format": "samebits graph",
  "version": 1,
  "libtorch": ")" TORCH_VERSION R"(",
  "symbols": [
    {"name":"s0","hint":6,"at_least":1,"input":0,"dim":0}
  ],
  "inputs": [
    {"name":"%in0","dtype":"Float","sizes":["s0",3]}
  ],
  "constants": [
    {"name":"%c0","dtype":"Float","sizes":[1,3],"tensor":"weight"},
    {"name":"%c1","dtype":"Float","sizes":[20,3],"tensor":"cache"}
  ],
  "nodes": [
    {"op":"samebits_test::affine","args":{"x":"%in0","w":"%c0","bias":0.25},"results":[{"name":"%0","dtype":"Float","sizes":["s0",3],"site":"y#0"}]},
    {"op":"samebits::mark","args":{"x":"%0","site":{"str":"y#0"}},"results":[]},
    {"op":"samebits_test::store","args":{"cache":"%c1","x":"%0"},"results":[]}
  ],
  "outputs": ["%0"],
  "guards": []
}
)");
}

TEST_F(GraphFile, KeepsEveryDouble) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bias : {0.1, -0.0, 5e-324, 1.7976931348623157e308, 3.0, nan,
                            -std::numeric_limits<double>::infinity()}) {
    const auto graph = traced(
        [&](const Tensors& in) { return Tensors{affine(in[0], in[0], bias)}; }, {rows(6)}, {});
    const auto loaded = reloaded(*graph, store_);
    const double got = std::get<c10::IValue>(loaded->nodes[0].args[2].data).toDouble();
    EXPECT_EQ(std::bit_cast<uint64_t>(got), std::bit_cast<uint64_t>(bias)) << bias;
  }
}

TEST_F(GraphFile, KeepsAtenCallsAndTheirDtypes) {
  const Program program = [](const Tensors& in) {
    const at::Tensor half = at::_to_copy(in[0], in[0].options().dtype(at::kBFloat16));
    return Tensors{half.view_symint({in[0].sym_size(0) * 3}), at::cat({in[0], in[0]})};
  };
  const auto graph = traced(program, {rows(6)}, {{0, 0, "s0"}});
  Executor executor(reloaded(*graph, store_));
  const Tensors got = executor.run({rows(5)});
  const Tensors expected = program({rows(5)});
  EXPECT_TRUE(same_bits(got[0], expected[0]));
  EXPECT_TRUE(same_bits(got[1], expected[1]));
}

TEST_F(GraphFile, KeepsPlacementsAndRefersToTheMesh) {
  const auto mesh = make_local_mesh(2);
  store_.objects["mesh"] = c10::IValue(mesh);
  store_.tensors["sharded"] = distribute_tensor(rows(6), mesh, Placement::shard(0));
  const at::Tensor in = distribute_tensor(rows(6), mesh, Placement::shard(0));
  const Program program = [&](const Tensors& x) {
    Tensors locals = to_local(x[0]);
    for (at::Tensor& local : locals) local = affine(local, weight(), 0.5);
    return Tensors{full_tensor(from_local(locals, mesh, Placement::shard(0))),
                   redistribute(store_.tensors["sharded"], Placement::replicate())};
  };
  const auto graph = traced(program, {in}, {{0, 0, "s0"}});
  Executor executor(reloaded(*graph, store_));
  EXPECT_TRUE(same_bits(executor.run({in})[0], program({in})[0]));
  const std::string text = save_graph(*graph, store_.names());
  EXPECT_THAT(text, HasSubstr("\"mesh\":{\"object\":\"mesh\"}"));
  store_.objects.clear();
  EXPECT_THAT(error_of([&] { load_graph(text, store_.references(), "g.json"); }),
              HasSubstr("args.mesh.object: found object \"mesh\", expected one that is known"));
}

TEST_F(GraphFile, KeepsPieces) {
  const auto graph = traced([&](const Tensors& in) { return everything(in, weight(), cache()); },
                            {rows(6), rows(1)}, {{0, 0, "s0"}});
  const auto parts = passes::split(graph, {"samebits_test::join"});
  ASSERT_EQ(parts.pieces.size(), 3u);
  for (const passes::Piece& piece : parts.pieces) reloaded(*piece.graph, store_);
}

TEST(ParseExpr, ReadsWhatIsPrinted) {
  const sym::Expr a = sym::Expr::symbol(0, "a");
  const sym::Expr b = sym::Expr::symbol(1, "b", 1);
  const std::vector<sym::Expr> symbols{a, b};
  for (const sym::Expr& e :
       {a, a + b - 3, a * a * b * 2 - b, sym::floordiv(a + b, b), -sym::floordiv(a, 3),
        sym::mod(a, 2), sym::mod(a, 3) * 2, a * sym::floordiv(b, 2) * 4, sym::min(a, b),
        sym::max(sym::min(a, 7), sym::ceildiv(b, 4)) + 1, sym::floordiv(-a, 5) - 7,
        sym::floordiv(sym::floordiv(a, b), a + 1), sym::Expr(-4), sym::Expr(0)}) {
    EXPECT_TRUE(sym::parse_expr(e.str(), symbols) == e) << e.str();
  }
  EXPECT_FALSE(sym::parse_expr("a + 1", symbols) == a);
}

// A file of one node, and the ways to spoil it.
class BadGraphFile : public GraphFile {
 protected:
  BadGraphFile() {
    const auto graph = traced(
        [&](const Tensors& in) {
          const at::Tensor x = affine(in[0], weight(), 0.25);
          at::Tensor written = cache();
          test_ops::accumulate_(written, x);
          test_ops::demanding(in[0]);
          return Tensors{test_ops::repeat_rows(x, in[0].sym_size(0))};
        },
        {rows(6)}, {{0, 0, "s0"}});
    text_ = save_graph(*graph, store_.names());
  }

  // The error of the text with `from` (found in it) replaced.
  std::string error(const std::string& from, const std::string& to) const {
    std::string text = text_;
    const size_t at = text.find(from);
    if (at == std::string::npos) return "the text has no " + from;
    text.replace(at, from.size(), to);
    return load_error(text);
  }
  std::string load_error(const std::string& text) const {
    try {
      load_graph(text, store_.references(), "g.json");
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }

  std::string text_;
};

TEST_F(BadGraphFile, IsReadWhereNothingIsSpoilt) {
  EXPECT_EQ(load_error(text_), "no error");
  EXPECT_EQ(error("0.25", "0.5"), "no error");
  // Its calls say whether it fits, not the LibTorch that wrote it.
  EXPECT_EQ(error(TORCH_VERSION, "2.10.0"), "no error");
}

TEST_F(BadGraphFile, WithoutItsEndIsRefused) {
  for (size_t size = 0; size + 2 < text_.size(); size += 7) {
    EXPECT_THAT(load_error(text_.substr(0, size)), ::testing::StartsWith("g.json: line ")) << size;
  }
}

TEST_F(BadGraphFile, OfAnotherVersionIsRefused) {
  EXPECT_EQ(error("samebits graph", "samebits case"),
            "g.json: format: found \"samebits case\", expected \"samebits graph\"");
  EXPECT_EQ(error("\"version\": 1", "\"version\": 2"), "g.json: version: found 2, expected 1");
  EXPECT_EQ(error("\"outputs\"", "\"output\""),
            "g.json: found unknown key \"output\", expected one of \"format\", \"version\", "
            "\"libtorch\", \"model\", \"symbols\", \"inputs\", \"constants\", \"nodes\", "
            "\"outputs\", \"guards\" (did you mean \"outputs\"?)");
}

TEST_F(BadGraphFile, WithAnotherOperatorOrArityIsRefused) {
  EXPECT_EQ(error("samebits_test::affine", "samebits_test::afine"),
            "g.json: nodes.0.op: found operator \"samebits_test::afine\", expected one that this "
            "program has");
  EXPECT_EQ(error(",\"bias\":0.25", ""),
            "g.json: nodes.0.args: found no key \"bias\", expected it to be there");
  EXPECT_EQ(error("\"bias\":0.25", "\"bias\":0.25,\"more\":1"),
            "g.json: nodes.0.args: found unknown key \"more\", expected one of \"x\", \"w\", "
            "\"bias\"");
  EXPECT_EQ(
      error("\"results\":[{\"name\":\"%0\"",
            "\"results\":[{\"name\":\"%more\",\"dtype\":\"Float\",\"sizes\":[]},{\"name\":\"%0\""),
      "g.json: nodes.0.results: found 2 results, expected 1");
  EXPECT_EQ(error("\"results\":[\"%c1\"]", "\"results\":[\"%c0\"]"),
            "g.json: nodes.1.results.0: found \"%c0\", expected \"%c1\", which the operator writes "
            "and gives back");
}

// A file is data. What it may call computes with tensors and reaches nothing else.
TEST_F(BadGraphFile, ThatCallsWhatHasNoShapeRuleIsRefused) {
  const std::string end = "\", expected one that a graph may call, which has a shape rule";
  for (const char* op : {"aten::from_file", "aten::zero_", "aten::save", "aten::set_.source_Tensor",
                         "aten::resize_", "samebits_test::without_rule"}) {
    const std::string found = error("samebits_test::affine", op);
    const bool is_known = found.find("one that this program has") == std::string::npos;
    if (is_known) {
      EXPECT_EQ(found, "g.json: nodes.0.op: found operator \"" + std::string(op) + end);
    }
  }
  EXPECT_EQ(error("samebits_test::affine", "aten::from_file"),
            "g.json: nodes.0.op: found operator \"aten::from_file" + end);
}

TEST_F(BadGraphFile, ThatIsReadWithoutItsTensorsIsRefusedAlike) {
  check_graph_text(text_, {}, "g.json");
  std::string evil = text_;
  evil.replace(evil.find("samebits_test::affine"), 21, "aten::from_file");
  EXPECT_THAT(error_of([&] { check_graph_text(evil, {}, "g.json"); }),
              HasSubstr("nodes.0.op: found operator \"aten::from_file\""));
  EXPECT_THAT(error_of([&] { check_graph_text("{}", {}, "g.json"); }), HasSubstr("format"));
}

TEST_F(BadGraphFile, ThatPromisesOtherResultsThanItsOperatorsGiveIsRefused) {
  EXPECT_EQ(error("{\"name\":\"%0\",\"dtype\":\"Float\",\"sizes\":[\"s0\",3]}",
                  "{\"name\":\"%0\",\"dtype\":\"Float\",\"sizes\":[\"s0\",4]}"),
            "g.json: nodes.0: found %0, a Float[s0, 4], expected a Float[s0, 3]");
  EXPECT_EQ(error("{\"name\":\"%0\",\"dtype\":\"Float\"", "{\"name\":\"%0\",\"dtype\":\"Long\""),
            "g.json: nodes.0: found %0, a Long[s0, 3], expected a Float[s0, 3]");
  EXPECT_EQ(error("\"hint\":6", "\"hint\":1"),
            "g.json: nodes.2: found arguments refused: demanding: fewer than two rows, expected "
            "what samebits_test::demanding accepts");
}

TEST_F(GraphFile, AListOfAnotherLengthIsRefused) {
  const auto graph =
      traced([](const Tensors& in) { return Tensors{test_ops::halves(in[0])[0]}; }, {rows(6)}, {});
  std::string text = save_graph(*graph, store_.names());
  const std::string second = ",{\"name\":\"%1\",\"dtype\":\"Float\",\"sizes\":[3,3]}";
  ASSERT_NE(text.find(second), std::string::npos) << text;
  text.erase(text.find(second), second.size());
  EXPECT_EQ(error_of([&] { load_graph(text, store_.references(), "g.json"); }),
            "g.json: nodes.0: found 1 results, expected 2 results");
}

TEST_F(GraphFile, OfAnotherModelIsRefusedByKey) {
  const auto graph = traced(
      [&](const Tensors& in) { return Tensors{affine(in[0], weight(), 0.5)}; }, {rows(6)}, {});
  GraphNames names = store_.names();
  GraphReferences references = store_.references();
  names.model = references.model = {{"eps", 1e-6}, {"layers", 4}, {"tied", true}};
  const std::string text = save_graph(*graph, names);
  EXPECT_NO_THROW(load_graph(text, references, "g.json"));
  references.model["eps"] = 1e-5;
  EXPECT_EQ(error_of([&] { load_graph(text, references, "g.json"); }),
            "g.json: model.eps: found 1e-06, expected 1e-05, as the model has it; trace it again");
  references.model.erase("eps");
  EXPECT_EQ(error_of([&] { load_graph(text, references, "g.json"); }),
            "g.json: model.eps: found 1e-06, expected no such key");
  references.model["eps"] = 1e-6;
  references.model["theta"] = 1e4;  // which the file leaves out
  EXPECT_EQ(error_of([&] { load_graph(text, references, "g.json"); }),
            "g.json: model: found no key \"theta\", expected it to be there");
  // A file from before the key existed does not tell.
  EXPECT_NO_THROW(load_graph(save_graph(*graph, store_.names()), references, "g.json"));
}

// The device that a graph's only node copies to, loaded for a run on a card.
c10::Device device_on_a_card(const std::string& text, const Store& store) {
  GraphReferences references = store.references();
  references.device = c10::Device(c10::kCUDA, 0);
  const ir::Graph graph = load_graph(text, references, "g.json");
  for (const ir::Arg& arg : graph.nodes.at(0).args) {
    const auto* value = std::get_if<c10::IValue>(&arg.data);
    if (value != nullptr && value->isDevice()) return value->toDevice();
  }
  throw std::logic_error("no device");
}

TEST_F(GraphFile, OfACpuRunsOnACard) {
  const auto options = at::TensorOptions().dtype(at::kBFloat16).device(at::kCPU);
  const auto graph = traced(
      [&](const Tensors& in) { return Tensors{at::_to_copy(in[0], options)}; }, {rows(6)}, {});
  const std::string text = save_graph(*graph, store_.names());
  EXPECT_EQ(device_on_a_card(text, store_), c10::Device(c10::kCUDA, 0));
  // The twin: traced for a card, a copy to the CPU stays one.
  GraphNames names = store_.names();
  names.device = c10::kCUDA;
  EXPECT_EQ(device_on_a_card(save_graph(*graph, names), store_), c10::Device(c10::kCPU));
}

TEST_F(BadGraphFile, WithAnArgumentOfAnotherTypeIsRefused) {
  const auto bias = [&](const std::string& value) { return error("0.25", value); };
  EXPECT_EQ(bias("1"), "g.json: nodes.0.args.bias: found 1, expected float");
  EXPECT_EQ(bias("null"), "g.json: nodes.0.args.bias: found null, expected float");
  EXPECT_EQ(bias("\"%c0\""), "g.json: nodes.0.args.bias: found \"%c0\", expected float");
  EXPECT_EQ(bias("{\"sizes\":[1]}"),
            "g.json: nodes.0.args.bias: found {\"sizes\":[1]}, expected float");
  EXPECT_EQ(bias("{\"dtype\":\"Float\"}"),
            "g.json: nodes.0.args.bias: found {\"dtype\":\"Float\"}, expected float");
  EXPECT_EQ(bias("{}"), "g.json: nodes.0.args.bias: found {}, expected an object of one key");
  EXPECT_EQ(
      bias("{\"double_bits\":\"7ff8\"}"),
      "g.json: nodes.0.args.bias.double_bits: found \"7ff8\", expected 16 hexadecimal digits");
  EXPECT_EQ(error("\"x\":\"%in0\"", "\"x\":3"), "g.json: nodes.0.args.x: found 3, expected Tensor");
}

TEST_F(BadGraphFile, WithAValueBeforeItsDefinitionIsRefused) {
  const std::string late = ", expected a value that is defined before it is used";
  EXPECT_EQ(error("\"x\":\"%in0\"", "\"x\":\"%0\""), "g.json: nodes.0.args.x: found \"%0\"" + late);
  EXPECT_EQ(error("\"outputs\": [\"%2\"]", "\"outputs\": [\"%9\"]"),
            "g.json: outputs.0: found \"%9\"" + late);
  EXPECT_EQ(error("\"name\":\"%1\"", "\"name\":\"%0\""),
            "g.json: nodes.2.results.0: found \"%0\" a second time, expected every value to be "
            "defined once");
  EXPECT_EQ(error("\"name\":\"%1\"", "\"name\":\"1\""),
            "g.json: nodes.2.results.0: found the name \"1\", expected \"%\" and letters, digits "
            "or _");
}

TEST_F(BadGraphFile, WithoutItsConstantsIsRefused) {
  EXPECT_EQ(error("\"tensor\":\"weight\"", "\"tensor\":\"wait\""),
            "g.json: constants.0.tensor: found constant \"wait\", expected one that is known");
  EXPECT_EQ(error("\"tensor\":\"weight\"", "\"tensor\":\"cache\""),
            "g.json: constants.0.tensor: found \"cache\", a Float[20, 3], expected a Float[1, 3]");
  EXPECT_EQ(error("\"sizes\":[1,3]", "\"sizes\":[1,3],\"placements\":\"R\""),
            "g.json: constants.0.tensor: found \"weight\", a Float[1, 3], expected a Float[1, 3] "
            "R");
}

TEST_F(BadGraphFile, WithSizesThatMakeNoSenseIsRefused) {
  const auto times = [&](const std::string& text) {
    return error("{\"size\":\"s0\"}", "{\"size\":\"" + text + "\"}");
  };
  const std::string where = "g.json: nodes.3.args.times.size: found ";
  EXPECT_EQ(times("s0*2 - s0//3"),
            "g.json: nodes.3: found %2, a Float[s0*s0, 3], expected a Float[2*s0*s0 - s0*(s0//3), "
            "3]");
  EXPECT_EQ(times("s1"), where + "\"s1\", expected a number, a symbol or \"(\" at character 0");
  EXPECT_EQ(times("s0 s0"), where + "\"s0 s0\", expected an operator or the end at character 3");
  EXPECT_EQ(times("(s0"), where + "\"(s0\", expected \")\" at character 3");
  EXPECT_EQ(times("s0 // 0"), where + "\"s0 // 0\", expected no division by zero");
  EXPECT_EQ(times("99999999999999999999"),
            where + "\"99999999999999999999\", expected an integer of 64 bits at character 0");
  EXPECT_EQ(times("(s0 + 1)*(s0 + 1)"),
            where + "\"(s0 + 1)*(s0 + 1)\", expected factors that are no sums at character 17");
  EXPECT_THAT(times(std::string(3000, '(')), HasSubstr("at most 64 parentheses"));
  EXPECT_EQ(error("\"dim\":0", "\"dim\":1"),
            "g.json: symbols.0.dim: found a dimension of size \"3\", expected one of size \"s0\"");
  EXPECT_EQ(error("\"input\":0", "\"input\":1"),
            "g.json: symbols.0.input: found 1, expected an integer from 0 to 0");
  EXPECT_EQ(error("\"holds\":\"s0 - 2 >= 0\"", "\"holds\":\"s0 - 2 > 0\""),
            "g.json: guards.0.holds: found \"s0 - 2 > 0\", expected an expression and \" == 0\", "
            "\" != 0\" or \" >= 0\"");
  EXPECT_EQ(error("\"holds\":\"s0 - 2 >= 0\"", "\"holds\":\"2 >= 0\""),
            "g.json: guards.0.holds: found \"2 >= 0\", expected a condition that sizes decide");
}

// Spoilt in any way, a file is a graph or an InputError of one line, and nothing else happens.
TEST_F(BadGraphFile, SpoiltAtRandomIsReadOrRefused) {
  const std::string tokens = "\"{}[]:,.0129-+*/%()sxe>=! \\\n\xff";
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return random() % n; };
  int read = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text = text_;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(text.size());
      const size_t length = std::min(text.size() - at, below(8));
      switch (below(4)) {
        case 0:
          text[at] = tokens[below(tokens.size())];
          break;
        case 1:
          text.insert(at, 1, tokens[below(tokens.size())]);
          break;
        case 2:
          text.erase(at, length);
          break;
        default:  // a stretch of the file where another one was
          text.replace(at, length, text_.substr(below(text_.size()), length + below(20)));
      }
    }
    read += load_error(text) == "no error" ? 1 : 0;
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, 3000);
}

TEST_F(GraphFile, RefusesASymbolThatItCouldNotReadBack) {
  const auto graph = traced([](const Tensors& in) { return in; }, {rows(6)}, {{0, 0, "a b"}});
  EXPECT_EQ(error_of([&] { save_graph(*graph, store_.names()); }),
            "a graph to save: found symbol \"a b\", expected letters, digits and _, and neither "
            "min nor max");
}

}  // namespace
}  // namespace samebits
