#include "harness/report/html/element.h"

#include "harness/base/text.h"
#include "harness/report/markup.h"

namespace samebits {

Html::Html(std::string_view text) : bytes_(markup_escaped(shortened(text, kLongest))) {}

Html Html::void_element(HtmlName name, std::initializer_list<HtmlAttribute> attributes) {
  Html html;
  html.bytes_ = '<';
  html.bytes_ += name.text;
  for (const HtmlAttribute& each : attributes) {
    html.bytes_ += ' ';
    html.bytes_ += each.name.text;
    html.bytes_ += "=\"" + markup_escaped(printable(each.value)) + '"';
  }
  html.bytes_ += '>';
  return html;
}

Html Html::element(HtmlName name, std::initializer_list<HtmlAttribute> attributes,
                   const Html& content) {
  Html html = void_element(name, attributes);
  html.bytes_ += content.bytes_;
  html.bytes_ += "</";
  html.bytes_ += name.text;
  html.bytes_ += '>';
  return html;
}

Html Html::style(HtmlName sheet) {
  Html html;
  html.bytes_ = "<style>";
  html.bytes_ += sheet.text;
  html.bytes_ += "</style>";
  return html;
}

Html& Html::operator+=(const Html& more) {
  bytes_ += more.bytes_;
  return *this;
}

}  // namespace samebits
