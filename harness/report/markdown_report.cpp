#include "harness/base/text.h"
#include "harness/report/markdown.h"
#include "harness/report/tables.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

void add_section(std::string& text, const std::string& heading, const std::string& meaning,
                 const Table& table) {
  if (table.rows.empty()) return;
  text += "\n## " + heading + "\n" + meaning + "\n\n" + table.markdown();
}

void add_details(std::string& text, const std::string& summary, const std::string& meaning,
                 const Table& table) {
  if (table.rows.empty()) return;
  text += "\n<details><summary>" + summary + "</summary>\n\n" + meaning + "\n\n" +
          table.markdown() + "\n</details>\n";
}

// As a command may be typed: without end.
std::string command_text(const std::string& command) {
  return markdown_code(shortened(command, /*longest=*/2000));
}

void add_failures(std::string& text, const ReportRecord& record) {
  for (const ReportRecord::Failure& failure : record.failures) {
    text += "\n## " + markdown_text(failure.title) + "\n\n";
    for (const auto& [key, value] : failure.facts) {
      text += "- " + key + ": " + markdown_text(value) + "\n";
    }
    for (const std::string& command : failure.next) {
      text += "- next: " + command_text(command) + "\n";
    }
  }
}

}  // namespace

std::string markdown_report(const ReportRecord& record) {
  std::string text = "# samebits: " + markdown_text(title_of(record)) + "\n\n**" +
                     markdown_text(record.headline) + "**\n";
  if (!record.command.empty()) text += "\n" + command_text(record.command) + "\n";
  add_failures(text, record);
  add_section(text, "What ran",
              "Settings of the first arm; other arms differ where their mode says.",
              setup_table(record));
  add_section(text, "Relations", "What must hold between arms, and whether it does.",
              relation_table(record));
  add_section(text, "Steps",
              "Values of the first arm, and what each relation says of each step: a distance is "
              "the largest between the arms' values.",
              step_table(record));
  add_section(text, "Losses that differ",
              "Arms with the same losses, to the bit, are one row. A bar is a step, or of a long "
              "run the largest of several; distances are ULP by powers of two.",
              loss_curve_table(record));
  add_details(text, "Losses of each arm", "Each step's loss as each arm has it.",
              loss_table(record));
  add_section(text, "On policy",
              "The same tokens scored twice in one arm, by the generator that sampled them and by "
              "the trainer that learns from them; and how the trainer's weights came back.",
              on_policy_table(record));
  add_section(text, "Samples", "The first completion of the last step.", sample_table(record));
  add_section(text, "Time",
              "Seconds of wall clock and of processor time, all threads together, and the share of "
              "each phase. One run of each arm, so this is no benchmark. " +
                  record.load,
              time_table(record));
  add_section(text, "What looking cost", kMeaningOfLooking, looking_table(record));
  add_section(text, "Pace",
              "Steps from the second on, and what they take to those of the first arm: a factor "
              "whose interval holds 1 is no significant change. Steps of one run on one machine.",
              pace_table(record));
  add_section(text, "Fair times", kMeaningOfFairTimes, fair_time_table(record));
  add_section(text, "Planted faults", kMeaningOfPlanted, planted_table(record));
  add_section(text, "Planted faults by arm", "The same, arm by arm.", planted_arm_table(record));
  add_details(text, "Planted faults that need a word",
              "Each can be planted again, alone: `samebits run CASE` with its flag.",
              planted_detail_table(record));
  add_section(text, "Goldens", "Each arm against the stream that was blessed for it.",
              golden_table(record));
  text += "\n## What this run could not see\n\n";
  for (const std::string& spot : record.blind_spots) text += "- " + markdown_text(spot) + "\n";
  if (!record.unexercised.empty()) text += "\n## What this run did not exercise\n\n";
  for (const std::string& each : record.unexercised) text += "- " + markdown_text(each) + "\n";
  add_details(
      text, "Peak memory",
      "The most that the tensors of an arm took at once on its device, weights and graph pools "
      "included; weights that a CPU maps from their file are not.",
      memory_table(record));
  add_details(text, "Witness: what proves the mode of each arm",
              "Counters of what ran: graph nodes, replays, eager calls.", witness_table(record));
  add_details(text, "Guards, and the sizes at which they were false",
              "What the captured graphs assumed of their sizes.", guard_table(record));
  add_details(text, "Environment", "Where it ran.", environment_table(record));
  return text;
}

}  // namespace samebits
