#pragma once

#include <string>

#include "harness/report/html/element.h"
#include "harness/report/pictures.h"
#include "harness/report/record.h"
#include "harness/report/table.h"

// The parts of a page, a file each.
namespace samebits {

// The sheet of the page: light, dark, narrow and on paper.
Html page_style();

// A table that scrolls in its own frame where it is too wide; of a long one the first rows and how
// many more there are. `caption`: what it is, for who hears it read.
Html table_html(const Table& table, const std::string& caption);

// Folded away, but on paper.
Html details_html(const std::string& summary, const Html& content);

// The losses of the arms by step and how far they are apart; empty where no arm has one.
Html losses_html(const ReportRecord& record);

// Where a difference is born and how it spreads.
Html spread_html(const Pictures::Spread& spread);

// The two tensors that differ first, as a heat map.
Html tensor_html(const KeptTensors& kept);

// The operator calls that led to a value that differs, as a graph.
Html calls_html(const CallGraph& graph);

// Each phase of each arm: the middle and the range over its steps, wall clock and processor time.
Html phases_html(const ReportRecord& record);

}  // namespace samebits
