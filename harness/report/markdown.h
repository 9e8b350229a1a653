#pragma once

#include <string>
#include <string_view>

// Text from outside in Markdown, GitHub's dialect: it is read as it was written, and nothing of it
// is live: no markup, HTML, link, image, mention or reference. Each gives one line of printable
// text (base/text.h), except markdown_block.
namespace samebits {

// In a sentence, a heading or a table's cell.
std::string markdown_text(std::string_view text);

// As a code span; in a table's cell `|` is still to be escaped.
std::string markdown_code(std::string_view text);

// Lines as a block of code, with a newline at its end.
std::string markdown_block(std::string_view lines);

}  // namespace samebits
