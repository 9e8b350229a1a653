#include "harness/capture/passes/fuse_patterns.h"

#include <sstream>

namespace samebits::passes {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> found;
  for (std::string word; stream >> word;) found.push_back(word);
  return found;
}

FusePattern::Part part(const std::string& op, const std::string& args, const std::string& results) {
  return {"samebits::" + op, words(args), words(results)};
}

FusePattern pattern(std::vector<FusePattern::Part> parts, const std::string& fused,
                    const std::string& args) {
  return {std::move(parts), "samebits::" + fused, words(args)};
}

FusePattern::Part norm() { return part("rms_norm", "x* norm_weight eps false", "normed"); }

}  // namespace

const std::vector<FusePattern>& fuse_patterns() {
  static const std::vector<FusePattern> all{
      pattern({norm(),                                        //
               part("linear", "normed* wq* 0 _ dtype", "q"),  //
               part("linear", "normed* wk* 0 _ dtype", "k"),  //
               part("linear", "normed* wv* 0 _ dtype", "v")},
              "rms_norm_linear_qkv", "x norm_weight eps wq wk wv dtype"),
      pattern({norm(),                                               //
               part("linear", "normed* w_gate* 0 _ dtype", "gate"),  //
               part("linear", "normed* w_up* 0 _ dtype", "up"),      //
               part("silu_mul", "gate* up* false", "y")},
              "rms_norm_linear_silu_mul", "x norm_weight eps w_gate w_up dtype"),
      pattern({part("linear", "x* weight* slice _ dtype", "y"),
               part("residual_add", "residual* y*", "sum")},
              "linear_residual_add", "x weight slice dtype residual"),
      pattern({part("residual_add", "x* y*", "sum"),  //
               part("rms_norm", "sum* weight eps false", "normed")},
              "residual_rms_norm", "x y weight eps"),
      pattern({part("rms_norm", "x* weight eps false", "normed"),
               part("rope", "normed* cos sin positions false", "rotated")},
              "rms_norm_rope", "x weight eps cos sin positions"),
      pattern({part("rms_norm_rope", "x* weight eps cos sin positions", "normed rotated"),
               part("write_kv", "k_cache* v_cache* rotated* v* slots", "")},
              "rms_norm_rope_write_kv_", "x weight eps cos sin positions k_cache v_cache v slots"),
      pattern({part("rms_norm_rope", "q* q_weight eps cos sin positions", "q_normed q_rotated"),
               part("rms_norm_rope_write_kv_",
                    "k* k_weight eps cos sin positions k_cache* v_cache* v* slots",
                    "k_normed k_rotated")},
              "rms_norm_rope_qk_write_kv_",
              "q q_weight k k_weight eps cos sin positions k_cache v_cache v slots"),
      pattern({part("rms_norm_rope_qk_write_kv_",
                    "q* q_weight k* k_weight eps cos sin positions k_cache* v_cache* v* slots",
                    "q_normed q_rotated k_normed k_rotated"),
               part("paged_attention",
                    "q_rotated* k_cache* v_cache* block_table cu_seqlens seq_lens scale", "out")},
              "rms_norm_rope_paged_attention_",
              "q q_weight k k_weight eps cos sin positions k_cache v_cache v slots block_table "
              "cu_seqlens seq_lens scale")};
  return all;
}

}  // namespace samebits::passes
