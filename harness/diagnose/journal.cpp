#include "harness/diagnose/journal.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/names.h"
#include "harness/bits/digest.h"

namespace samebits {
namespace {

const Names<Sighting::Kind>& names_of_sightings() {
  static const Names<Sighting::Kind> names = {{"same", Sighting::Kind::kSame},
                                              {"other", Sighting::Kind::kOther},
                                              {"none", Sighting::Kind::kNone},
                                              {"refused", Sighting::Kind::kRefused}};
  return names;
}

std::string digest_of_candidate(const Candidate& candidate) {
  const std::string key = candidate.key();
  const int64_t shape[] = {static_cast<int64_t>(key.size())};
  return digest_of(Dtype::uint8, shape, key.data()).hex();
}

Json json_from_trial(const Trial& trial) {
  return {{"runs", trial.runs},
          {"failed", trial.failed},
          {"last", name_in(names_of_sightings(), trial.last.kind)},
          {"text", trial.last.text}};
}

Trial trial_from_json(const JsonReader& json) {
  Trial trial;
  trial.runs = json.required("runs").integer(1);
  trial.failed = json.required("failed").integer(0, trial.runs);
  trial.last.kind = json.required("last").one_of(names_of_sightings());
  trial.last.text = json.required("text").string();
  return trial;
}

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

Journal::Journal(const std::filesystem::path& file, const Json& subject) {
  const bool is_there = std::filesystem::exists(file);
  if (is_there) read(file, subject);
  lines_ = std::make_unique<LineWriter>(file, /*append=*/is_there);
  if (is_there) return;
  lines_->write(dumped(subject));
  lines_->flush();
}

void Journal::read(const std::filesystem::path& file, const Json& subject) {
  std::string text = read_text_file(file.string());
  const size_t whole = text.rfind('\n') + 1;  // a torn last line is as if it had not been written
  if (whole != text.size()) {
    text.resize(whole);
    write_text_file(file.string(), text);
  }
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string where = file.string() + ": line " + std::to_string(++number);
    const Json line = parse_json_line(text.substr(begin, end - begin), where);
    begin = end + 1;
    if (number == 1) {
      if (line == subject) continue;
      throw InputError(file.string(), "what was tried for something else, or by another program",
                       "a new folder, or --force to begin anew");
    }
    const JsonReader json(line, where);
    const std::string digest = json.required("candidate").string();
    if (json.optional("runs")) {
      trials_[digest] = trial_from_json(json);
    } else {
      ++begun_[digest];
    }
  }
  if (number == 0) throw InputError(file.string(), "nothing in it", "a journal");
}

std::optional<Trial> Journal::find(const Candidate& candidate) const {
  const std::string digest = digest_of_candidate(candidate);
  const auto found = trials_.find(digest);
  if (found != trials_.end()) return found->second;
  const auto begun = begun_.find(digest);
  if (begun == begun_.end() || begun->second < 2) return std::nullopt;
  return Trial{1, 0, {Sighting::Kind::kRefused, "it ended the program twice"}};
}

void Journal::begin(const Candidate& candidate) {
  const std::string digest = digest_of_candidate(candidate);
  ++begun_[digest];
  lines_->write(dumped({{"candidate", digest}, {"change", candidate.change}}));
  lines_->flush();
}

void Journal::add(const Candidate& candidate, const Trial& trial) {
  const std::string digest = digest_of_candidate(candidate);
  trials_[digest] = trial;
  Json json = {{"candidate", digest}, {"change", candidate.change}};
  json.update(json_from_trial(trial));
  lines_->write(dumped(json));
  lines_->flush();
}

}  // namespace samebits
