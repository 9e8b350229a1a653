#include "harness/dispatch/part_of.h"

namespace samebits {
namespace {

thread_local const std::string* tls_op = nullptr;

}  // namespace

PartOf::PartOf(const std::string& op) { tls_op = &op; }

PartOf::~PartOf() { tls_op = nullptr; }

const std::string* PartOf::op() { return tls_op; }

}  // namespace samebits
