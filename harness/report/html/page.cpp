#include "harness/base/text.h"
#include "harness/report/html/parts.h"
#include "harness/report/tables.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

constexpr size_t kMostRows = 200;     // of a table
constexpr size_t kLongestText = 400;  // of a cell

// A word that has a colour; the word stays.
std::string css_of_word(const std::string& text) {
  if (text == "FAILS") return "bad";
  return text == "holds" || text == "equal" || text == "within" ? "good" : "";
}

Html cell_html(const Table::Column& column, const std::string& text) {
  std::string css = css_of_word(text);
  if (column.is_number) css = css.empty() ? "number" : "number " + css;
  const std::string shown = shortened(text, kLongestText);
  return css.empty() ? Html::element("td", {}, shown)
                     : Html::element("td", {{"class", css}}, shown);
}

// The sections of a page in their order, and links to them.
class Sections {
 public:
  // Nothing where the content is empty. `meaning` may be "".
  void add(HtmlName id, const std::string& title, const std::string& meaning, const Html& content) {
    if (content.empty()) return;
    Html html = Html::element("h2", {}, title);
    if (!meaning.empty()) html += Html::element("p", {{"class", "note"}}, meaning);
    const std::string name(id.text);
    body_ += Html::element("section", {{"id", name}}, html + content);
    links_ += Html::element("li", Html::element("a", {{"href", "#" + name}}, title));
  }
  void add(HtmlName id, const std::string& title, const std::string& meaning, const Table& table) {
    if (!table.rows.empty()) add(id, title, meaning, table_html(table, title));
  }

  const Html& body() const { return body_; }
  Html links() const {
    return Html::element("nav", {{"aria-label", "On this page"}}, Html::element("ul", links_));
  }

 private:
  Html body_;
  Html links_;
};

Html folded_section(const std::string& title, const std::string& meaning, const Table& table) {
  if (table.rows.empty()) return {};
  return details_html(title,
                      Html::element("p", {{"class", "note"}}, meaning) + table_html(table, title));
}

Html list_html(const std::vector<std::string>& sentences) {
  Html items;
  for (const std::string& each : sentences) {
    items += Html::element("li", {}, each);
  }
  return items.empty() ? Html() : Html::element("ul", items);
}

Html failure_html(const ReportRecord::Failure& failure) {
  Html facts;
  for (const auto& [fact, value] : failure.facts) {
    const bool is_cause = fact == "cause" || fact == "operator";
    const Html text = is_cause ? Html::element("strong", {}, value) : Html(value);
    facts += Html::element("dt", {}, fact) + Html::element("dd", text);
  }
  Html html = Html::element("h3", {}, failure.title);
  if (!facts.empty()) html += Html::element("dl", facts);
  Html commands;
  for (const std::string& command : failure.next) {
    commands += Html::element("li", Html::element("code", {}, command));
  }
  if (!commands.empty()) {
    html +=
        Html::element("p", {{"class", "next"}}, "What to do next:") + Html::element("ul", commands);
  }
  return Html::element("article", {{"class", "failure"}}, html);
}

// The verdict, in the words of the console.
Html verdict_html(const ReportRecord& record) {
  const char* word = !record.holds ? "FAILED" : record.has_comparison ? "HOLDS" : "RECORDED";
  const char* css = !record.holds ? "badge bad" : record.has_comparison ? "badge good" : "badge";
  Html html = Html::element("p", Html::element("strong", {{"class", css}}, word)) +
              Html::element("p", {{"class", "headline"}}, record.headline);
  if (!record.command.empty()) {
    html += Html::element("p", Html::element("code", {}, record.command));
  }
  for (const ReportRecord::Failure& failure : record.failures) html += failure_html(failure);
  return Html::element("section", html);
}

Html spreads_html(const Pictures& pictures) {
  Html html;
  for (const Pictures::Spread& spread : pictures.spreads) html += spread_html(spread);
  if (!pictures.equal.empty()) {
    html += Html::element("p", {},
                          "Equal to the bit at every site, so there is nothing to draw: " +
                              list_text(pictures.equal) + ".");
  }
  return html;
}

Html kept_html(const Pictures& pictures) {
  Html html;
  for (const KeptTensors& kept : pictures.kept) html += tensor_html(kept);
  return html;
}

Html graphs_html(const Pictures& pictures) {
  Html html;
  for (const CallGraph& calls : pictures.calls) html += calls_html(calls);
  return html;
}

Html losses_and_numbers(const ReportRecord& record) {
  Html losses = losses_html(record);
  const Table table = loss_table(record);
  if (!losses.empty() && table.rows.size() > 1) {
    losses += details_html("The same numbers", table_html(table, "Losses of each arm"));
  }
  return losses;
}

Html planted_html(const ReportRecord& record) {
  if (record.planted.empty()) return {};
  const Table details = planted_detail_table(record);
  Html html = table_html(planted_table(record), "Planted faults by kind") +
              table_html(planted_arm_table(record), "Planted faults by arm");
  if (!details.rows.empty()) {
    html += details_html("Those that were not localised, and why", table_html(details, "Why"));
  }
  return html;
}

Html folded_sections(const ReportRecord& record) {
  return folded_section("Pace",
                        "Steps from the second on, and what they take to those of the first arm: "
                        "a factor whose interval holds 1 is no significant change.",
                        pace_table(record)) +
         folded_section("Peak memory", "The most that the tensors of an arm took at once.",
                        memory_table(record)) +
         folded_section("Witness: what proves the mode of each arm",
                        "Counters of what ran: graph nodes, replays, eager calls.",
                        witness_table(record)) +
         folded_section("Guards, and the sizes at which they were false",
                        "What the captured graphs assumed of their sizes.", guard_table(record)) +
         folded_section("Environment", "Where it ran.", environment_table(record));
}

Table arms_table(const ReportRecord& record) {
  Table table{{{"arm", false}, {"mode", false}, {"steps", true}, {"ended", false}}, {}};
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    table.rows.push_back(
        {arm.name, arm.mode, std::to_string(arm.steps), arm.finished ? "yes" : "cut off"});
  }
  return table;
}

Html body_html(const ReportRecord& record, const Pictures& pictures) {
  Sections sections;
  sections.add("relations", "Relations", "What must hold between arms, and whether it does.",
               relation_table(record));
  sections.add("spread", "Where a difference is born, and how it spreads", "",
               spreads_html(pictures));
  sections.add("tensors", "The two tensors that differ first", "", kept_html(pictures));
  sections.add("calls", "The calls that led to them", "", graphs_html(pictures));
  sections.add("losses", "Losses", "", losses_and_numbers(record));
  sections.add("on-policy", "On policy",
               "The same tokens scored twice in one arm: by the generator that sampled them, and "
               "by the trainer that learns from them.",
               on_policy_table(record));
  sections.add("steps", "Steps",
               "Values of the first arm, and what each relation says of each step: a distance is "
               "the largest between the arms' values.",
               step_table(record));
  sections.add("samples", "Samples", "The first completion of the last step.",
               sample_table(record));
  sections.add("time", "Time",
               "A bar is the middle of the steps from the second on, the thin line their range "
               "from the fastest to the slowest. One run of each arm, so this is no benchmark. " +
                   record.load,
               phases_html(record));
  sections.add("looking", "What looking cost", kMeaningOfLooking, looking_table(record));
  sections.add("planted", "Planted faults", kMeaningOfPlanted, planted_html(record));
  sections.add("fair-times", "Fair times", kMeaningOfFairTimes, fair_time_table(record));
  sections.add("goldens", "Goldens", "Each arm against the stream that was blessed for it.",
               golden_table(record));
  sections.add(
      "setup", "What ran", "Settings of the first arm; others differ where their mode says.",
      table_html(setup_table(record), "Settings") + table_html(arms_table(record), "Arms"));
  sections.add("blind-spots", "What this run could not see", "", list_html(record.blind_spots));
  sections.add("unexercised", "What this run did not exercise", "", list_html(record.unexercised));
  sections.add("details", "Details", "", folded_sections(record));
  return Html::element("h1", {}, "samebits: " + shortened(title_of(record), kLongestText)) +
         verdict_html(record) + sections.links() + sections.body();
}

}  // namespace

Html table_html(const Table& table, const std::string& caption) {
  Html head;
  for (const Table::Column& column : table.columns) {
    head += column.is_number
                ? Html::element("th", {{"scope", "col"}, {"class", "number"}}, column.title)
                : Html::element("th", {{"scope", "col"}}, column.title);
  }
  Html rows;
  for (size_t i = 0; i < table.rows.size() && i < kMostRows; ++i) {
    Html cells;
    for (size_t j = 0; j < table.columns.size(); ++j) {
      cells += cell_html(table.columns[j], table.rows[i][j]);
    }
    rows += Html::element("tr", cells);
  }
  Html html = Html::element(
      "div", {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", caption}},
      Html::element("table", Html::element("thead", Html::element("tr", head)) +
                                 Html::element("tbody", rows)));
  if (table.rows.size() > kMostRows) {
    html += Html::element("p", {{"class", "note"}},
                          std::to_string(table.rows.size() - kMostRows) +
                              " more rows are in samebits report --format json.");
  }
  return html;
}

Html details_html(const std::string& summary, const Html& content) {
  return Html::element("details", Html::element("summary", {}, summary) + content);
}

std::string html_report(const ReportRecord& record, const Pictures& pictures) {
  // Nothing is fetched, and nothing runs, whatever a recording holds.
  const Html head =
      Html::void_element("meta", {{"charset", "utf-8"}}) +
      Html::void_element("meta", {{"http-equiv", "Content-Security-Policy"},
                                  {"content", "default-src 'none'; style-src 'unsafe-inline'"}}) +
      Html::void_element("meta", {{"name", "viewport"}, {"content", "width=device-width"}}) +
      Html::void_element("meta", {{"name", "color-scheme"}, {"content", "light dark"}}) +
      Html::element(
          "title", {},
          (record.holds ? "holds: " : "FAILED: ") + shortened(title_of(record), kLongestText)) +
      page_style();
  return "<!doctype html>\n" +
         Html::element(
             "html", {{"lang", "en"}},
             Html::element("head", head) +
                 Html::element("body", Html::element("main", body_html(record, pictures))))
             .bytes() +
         "\n";
}

}  // namespace samebits
