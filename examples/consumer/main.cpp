// Which knocks are these? Runs the model on three windows and tells every score, bit by bit.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "knock.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace {

struct Window {
    std::string_view kind;
    size_t index;
    std::array<int8_t, 32> samples;  // in hundredths of g
};

// A weak tap, a double tap upside down, and a shake.
constexpr std::array<Window, 3> kWindows = {{
    {"tap", 0, {58, -5, -37, -1, 25, 0,  -11, 4, 6,  -5, -2, -3, 5,  1, -6, 3,
                1,  -2, -4,  1,  -4, -4, -4,  4, -4, 2,  -1, 2,  -4, 4, -1, 3}},
    {"double tap", 1, {-60, 5, 37, -1, -24, 1, 17, -2, -13, 4,  9, -4, -77, 2, 43, -2,
                       -23, 6, 21, -4, -9,  2, 9,  3,  -2,  -4, 5, -1, 1,   2, -2, 1}},
    {"shake", 2, {4,  59, 81, 61, 4,  -62, -86, -55, 2,  59, 87, 54, 3, -63, -84, -57,
                  -2, 56, 88, 57, -4, -60, -80, -55, -1, 60, 88, 59, 1, -56, -84, -55}},
}};

bool tell(const Window& window) {
    std::ranges::transform(window.samples, knock::input().begin(),
                           [](int8_t sample) { return sample / 100.0f; });
    knock::run();
    const std::span<float> scores = knock::output();
    mcu::Text line;
    line.add(window.kind).add(":");
    for (const float score : scores) {
        line.add(" ").hexadecimal(std::bit_cast<uint32_t>(score));
    }
    const auto found = static_cast<size_t>(std::ranges::max_element(scores) - scores.begin());
    line.add(found == window.index ? "\n" : " WRONG\n");
    mcu::platform::write_console(line.view());
    return found == window.index;
}

}  // namespace

int main() {
    size_t right = 0;
    for (const Window& window : kWindows) {
        right += tell(window) ? 1 : 0;
    }
    mcu::platform::write_console(right == kWindows.size() ? "done\n" : "failed\n");
    return right == kWindows.size() ? 0 : 1;
}
