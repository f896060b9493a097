// Somebody before the camera? The picture comes line by line, and never lies in RAM as a whole.

#include <array>
#include <cstddef>
#include <cstdint>

#include "mcu/platform.h"
#include "mcu/text.h"
#include "person.h"

namespace {

using Line = std::array<uint8_t, person::input_row_size>;

// In place of a camera: a figure of a head, a body and two legs, or a box, before a dark wall.
uint8_t pixel(int x, int y, bool somebody) {
    const auto inside = [=](int cx, int cy, int wide, int high) {
        const int dx = (x - cx) * high;
        const int dy = (y - cy) * wide;
        return dx * dx + dy * dy < wide * wide * high * high;
    };
    const bool head = inside(32, 16, 4, 5);
    const bool body = inside(32, 28, 7, 9);
    const bool legs = y > 34 && y < 50 && ((x > 26 && x < 31) || (x > 33 && x < 38));
    const bool box = x > 18 && x < 44 && y > 26 && y < 46;
    const bool is_light = somebody ? head || body || legs : box;
    const int noise = (x * 31 + y * 17 + x * y * 7) % 9 - 4;
    return static_cast<uint8_t>((is_light ? 200 : 50) + noise);
}

// A line-ready interrupt or a DMA transfer would fill it.
Line camera_line(int y, bool somebody) {
    Line line{};
    for (int x = 0; x < static_cast<int>(line.size()); ++x) {
        line[static_cast<size_t>(x)] = pixel(x, y, somebody);
    }
    return line;
}

// Of a picture of 64 lines; the last one brings the answer.
bool sees_somebody(bool somebody) {
    for (int y = 0;; ++y) {
        const Line line = camera_line(y, somebody);
        std::array<int8_t, person::input_row_size> row{};
        for (size_t x = 0; x < row.size(); ++x) {
            row[x] = person::quantize_input(static_cast<float>(line[x]) / 255.0F);
        }
        if (person::push_row(row.data())) {
            return person::output()[1] > person::output()[0];
        }
    }
}

}  // namespace

int main() {
    for (const bool somebody : {false, true, false}) {
        mcu::Text text;
        text.add(sees_somebody(somebody) ? "somebody\n" : "nobody\n");
        mcu::platform::write_console(text.view());
    }
    return 0;
}
