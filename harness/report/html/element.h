#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

// HTML that cannot be made of foreign text: names of elements and attributes are literals of the
// source, and whatever else goes in is escaped on its way.
namespace samebits {

// The name of an element or of an attribute.
struct HtmlName {
  // NOLINTNEXTLINE(google-explicit-constructor): literals are names
  consteval HtmlName(const char* literal) : text(literal) {}
  std::string_view text;
};

struct HtmlAttribute {
  HtmlName name;
  std::string value;
};

// A part of a page: text, elements, or several of them.
class Html {
 public:
  Html() = default;
  // Text: markup in it is shown, control characters and bytes that are no UTF-8 are made printable
  // (base/text.h), and it is one line with an end.
  explicit Html(std::string_view text);

  static Html element(HtmlName name, std::initializer_list<HtmlAttribute> attributes = {},
                      const Html& content = {});
  static Html element(HtmlName name, const Html& content) { return element(name, {}, content); }
  static Html element(HtmlName name, std::initializer_list<HtmlAttribute> attributes,
                      std::string_view text) {
    return element(name, attributes, Html(text));
  }
  // One that has no content and no end: <br>, <meta>.
  static Html void_element(HtmlName name, std::initializer_list<HtmlAttribute> attributes);
  // A style sheet of our own, which is not escaped: a literal.
  static Html style(HtmlName sheet);

  Html& operator+=(const Html& more);
  friend Html operator+(Html first, const Html& second) { return std::move(first += second); }

  bool empty() const { return bytes_.empty(); }
  const std::string& bytes() const { return bytes_; }

 private:
  static constexpr size_t kLongest = 4000;  // text

  std::string bytes_;
};

}  // namespace samebits
