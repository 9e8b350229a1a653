#include "harness/observe/fault_witness.h"

#include <charconv>
#include <string>

namespace samebits {
namespace {

std::string hex_from_bits(uint64_t bits) {
  char text[16];
  const auto end = std::to_chars(text, text + sizeof text, bits, 16).ptr;
  return {text, end};
}

uint64_t bits_from_hex(const JsonReader& json) {
  const std::string text = json.string();
  uint64_t bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    json.fail(json.shown(), "bits as hexadecimal digits");
  }
  return bits;
}

}  // namespace

Json json_from_witness(const FaultWitness& witness) {
  Json json = {{"caller", witness.caller},
               {"rank", witness.rank},
               {"changed", witness.changed},
               {"element", witness.element},
               {"before", hex_from_bits(witness.before)},
               {"after", hex_from_bits(witness.after)}};
  if (witness.caller_call) json["caller_call"] = *witness.caller_call;
  return json;
}

FaultWitness witness_from_json(const JsonReader& json) {
  json.object({"caller", "caller_call", "rank", "changed", "element", "before", "after"});
  FaultWitness witness;
  witness.caller = json.required("caller").string();
  if (auto key = json.optional("caller_call")) witness.caller_call = key->integer(0);
  witness.rank = json.required("rank").integer(0);
  witness.changed = json.required("changed").integer(0);
  witness.element = json.required("element").integer(0);
  witness.before = bits_from_hex(json.required("before"));
  witness.after = bits_from_hex(json.required("after"));
  return witness;
}

}  // namespace samebits
