#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "harness/base/json.h"
#include "harness/capture/ir/graph.h"

namespace samebits {

// A graph as a text that can be kept, read and compared: JSON, one value, node or guard a line, the
// same for the same graph. It holds everything but the data: the constants' tensors, and objects
// such as a DeviceMesh, are referred to by names that the caller gives and later resolves. Numbers
// are exact. A piece (passes/split.h) can be kept too.
//
//   {"op":"samebits::rms_norm","args":{"x":"%0","weight":"%c1","eps":1e-06,"fused_rounding":false},
//    "results":[{"name":"%1","dtype":"BFloat16","sizes":[1,"s0",256],"site":"norm#0"}]}
//
// `model` tells what the graph was traced for: an object of any keys, where there is one.
//
// Arguments stand under their names in the schema. null, true, 3 and 3.0 are what they are in JSON,
// a string names a value, and the rest is an object of one key: {"str": "R"}, {"dtype": "Float"},
// {"device": "run"}, {"size": "2*s0"}, {"sizes": [1, "s0"]}, {"tensors": ["%0", "%1"]},
// {"optional_tensors": [null, "%0"]}, {"ints": []}, {"doubles": []}, {"bools": []}, {"strs": []},
// {"object": "mesh"}, {"double_bits": "7ff8000000000000"} (not finite).
//
// The device "run" is whatever device the graph runs on; another one has its own name, as in
// {"device": "cpu"}. So a graph that a CPU traced serves a card.

// What decides a graph besides its constants: settings as JSON, by key.
using GraphModel = std::map<std::string, Json>;

// Names for what a file does not hold. Both functions may throw.
struct GraphNames {
  std::function<std::string(const at::Tensor& constant)> constant;
  std::function<std::string(const c10::IValue& object)> object;
  GraphModel model = {};           // may be empty
  c10::Device device = c10::kCPU;  // that the graph was traced for
};

// What the names stand for; an undefined tensor or None: there is no such name.
struct GraphReferences {
  std::function<at::Tensor(const std::string& name)> constant;
  std::function<c10::IValue(const std::string& name)> object;
  GraphModel model = {};           // that the graph is to serve
  c10::Device device = c10::kCPU;  // that it is to run on
};

// Throws InputError where a symbol's name could not be read back, NotImplementedError for an
// argument of a kind that the format does not have (a complex number, a dictionary).
std::string save_graph(const ir::Graph& graph, const GraphNames& names);

// The graph of a text of save_graph(). It prints alike and gives the same bits. Everything is
// checked, and what does not fit is an InputError of one line that names `file` and the key, or
// line and column: text that is no JSON, another version of the format or of LibTorch, a graph of
// another model (a file from before the key `model` existed does not tell), an operator that this
// program does not have or that no graph may call (graph_check.h), arguments and results that its
// schema does not have or that are not what its shape rule gives, a value that is used before it is
// defined or defined twice, a name without a tensor, a tensor of another shape.
ir::Graph load_graph(std::string_view text, const GraphReferences& references,
                     const std::string& file);

// As far as this is known without tensors. For a file that is run from only later.
void check_graph_text(std::string_view text, const GraphModel& model, const std::string& file);

}  // namespace samebits
