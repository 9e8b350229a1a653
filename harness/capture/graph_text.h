#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "harness/base/json.h"
#include "harness/capture/sym/condition.h"
#include "harness/capture/sym/expr.h"

// A graph file (graph_file.h) as far as it can be read without LibTorch: no operator, dtype or
// tensor is looked up yet.
namespace samebits {

inline constexpr const char* kGraphFormat = "samebits graph";
inline constexpr int64_t kGraphVersion = 1;

// Values are numbered as they are defined: inputs, constants, results. Every number here is that of
// a value which is defined before it is used.
struct GraphText {
  // Where a symbol is bound when the graph runs.
  struct Binding {
    int input;
    int dim;
  };
  struct Symbol {
    std::string name;
    int64_t hint;
    int64_t at_least;
    std::optional<Binding> binding;
  };
  struct Value {
    std::string name;
    std::vector<sym::Expr> sizes;
    std::string placements;
    std::string site;
    JsonReader where;  // the object that declares it; its "dtype" is still to be read
  };

  // An argument, still without the type that its operator gives it.
  struct Ref {
    int value;
  };
  struct Refs {
    bool may_lack;  // whether elements may be null
    std::vector<std::optional<int>> values;
  };
  struct Name {
    std::string kind;  // "dtype", "device" or "object"
    JsonReader name;
  };
  struct Arg {
    std::variant<std::monostate, bool, int64_t, double, std::string, Ref, Refs, sym::Expr,
                 std::vector<sym::Expr>, std::vector<int64_t>, std::vector<double>,
                 std::vector<bool>, std::vector<std::string>, Name>
        data;  // monostate: null
    JsonReader where;
  };

  struct Result {
    int value;
    bool is_written;  // a value that is there already, which the operator writes and gives back
    JsonReader where;
  };
  struct Node {
    JsonReader where;
    std::vector<std::pair<std::string, Arg>> args;  // by name, in the order of the file
    std::vector<Result> results;
  };
  struct Guard {
    sym::Condition condition;
    std::string file;
    int64_t line;
    std::string during;
  };

  GraphText(std::shared_ptr<const Json> json, const std::string& name)
      : json(std::move(json)), file(*this->json, name) {}

  std::shared_ptr<const Json> json;  // what the readers read
  JsonReader file;                   // the whole; its "libtorch" and "model" are still to be read
  std::vector<Symbol> symbols;
  std::vector<Value> values;
  int inputs = 0;     // the first values
  int constants = 0;  // the values that follow
  std::vector<Node> nodes;
  std::vector<int> outputs;
  std::vector<Guard> guards;
};

// Throws InputError of one line that names `file` and the key, or line and column.
GraphText parse_graph_text(std::string_view text, const std::string& file);

}  // namespace samebits
