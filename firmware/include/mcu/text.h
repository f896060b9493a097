// Numbers to text, without stdio and without a heap.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mcu {

// Text in a buffer of fixed size. What does not fit is dropped.
class Text {
public:
    Text() {}  // not = default, which would have Text() clear every character

    Text& add(std::string_view text) {
        for (const char character : text) {
            if (length_ < sizeof(characters_)) {
                characters_[length_++] = character;
            }
        }
        return *this;
    }

    Text& decimal(uint32_t value) {
        char digits[10];
        size_t first = sizeof(digits);
        do {
            digits[--first] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        return add({digits + first, sizeof(digits) - first});
    }

    // Eight digits, after 0x.
    Text& hexadecimal(uint32_t value) {
        add("0x");
        for (int shift = 28; shift >= 0; shift -= 4) {
            add({&"0123456789abcdef"[(value >> shift) & 0xF], 1});
        }
        return *this;
    }

    [[nodiscard]] std::string_view view() const { return {characters_, length_}; }

private:
    size_t length_ = 0;
    char characters_[96];
};

}  // namespace mcu
