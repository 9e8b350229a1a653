#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/logs/log_builder.h"

// The formats of logs, one reader each. A reader takes a file's bytes and gives its values to a
// LogBuilder; it throws InputError with the line or byte of what it cannot read.
namespace samebits {

struct LogInput {
  std::string_view bytes;
  std::string file;  // for errors
  LogSettings settings;
};

Log read_json_lines(const LogInput& input);     // an object a line
Log read_csv(const LogInput& input);            // a header, then a row a step; .tsv: tabs
Log read_trainer_state(const LogInput& input);  // Transformers' trainer_state.json: log_history
Log read_tensorboard(const LogInput& input);    // an event file: its scalars
Log read_text(const LogInput& input);           // lines that match settings.pattern
// The response of a server, or many: the logprobs and tokens of its choices; response n is step n.
Log read_completions(const LogInput& input);
// Dumps of tensors: step 0.
Log read_safetensors(const LogInput& input);
Log read_npz(const LogInput& input);
// Lines of consoles, whose patterns are known.
Log read_torchtitan(const LogInput& input);
Log read_torchtitan_golden(const LogInput& input);
Log read_megatron(const LogInput& input);
Log read_verl(const LogInput& input);

// Whether a file begins with the length of a record, and the checksum of that.
bool is_event_file(std::string_view begin);

struct LogFormat {
  std::string name;  // as --format takes it
  // Whether a file is of this format, by its name and its first bytes.
  bool (*is_of)(std::string_view name, std::string_view begin);
  Log (*read)(const LogInput& input);
};

// All formats, in the order in which a file is offered to them. How to add one:
// docs/howto/log-format.md.
const std::vector<LogFormat>& log_formats();

// Reads the log by the format that the settings name, or that knows the file. InputError where
// none does.
Log read_log(const LogInput& input);

}  // namespace samebits
