// The loops of pad.h, whose copies and fills a core makes in its own way:
//
//   Core::fill(to, value, count)  `count` elements
//   Core::copy(to, from, bytes)

#pragma once

#include <cstring>

#include "mcu/kernels/pad.h"

namespace mcu::kernels::padding {

inline int32_t within(int32_t value, int32_t high) {
    return value < 0 ? 0 : (value > high ? high : value);
}

// The innermost dimensions that lie dense in the input, and are not padded inside, taken as one.
struct Line {
    int32_t outer;   // how many dimensions are left
    int32_t length;  // elements of the output
    int32_t before;
    int32_t inside;
    int32_t stride;
};

inline Line line_of(const PadParams& params) {
    Line line = {3, params.shape[3], params.before[3], params.inside[3], params.strides[3]};
    while (line.outer > 0 && line.before == 0 && line.inside == line.length && line.stride == 1 &&
           (params.inside[line.outer - 1] == 1 || params.strides[line.outer - 1] == line.length)) {
        --line.outer;
        const int32_t size = line.length;
        line.length = params.shape[line.outer] * size;
        line.before = params.before[line.outer] * size;
        line.inside = params.inside[line.outer] * size;
    }
    return line;
}

// One line of the output; `row` is null outside of the input.
template <typename Core, typename Bits>
void pad_line(const Line& line, const Bits* row, Bits value, int8_t* to) {
    constexpr int32_t kSize = sizeof(Bits);
    if (row == nullptr) {
        Core::fill(to, value, line.length);
        return;
    }
    const int32_t start = within(line.before, line.length);
    const int32_t end = within(line.before + line.inside, line.length);
    Core::fill(to, value, start);
    int8_t* inside = to + start * kSize;
    const Bits* from = row + (start - line.before) * line.stride;
    if (line.stride == 1) {
        Core::copy(inside, reinterpret_cast<const int8_t*>(from), (end - start) * kSize);
    } else {
        for (int32_t i = start; i < end; ++i) {
            std::memcpy(inside, from, kSize);
            inside += kSize;
            from += line.stride;
        }
    }
    Core::fill(to + end * kSize, value, line.length - end);
}

template <typename Core, typename Bits>
void pad(const PadParams& params, const void* input, void* output) {
    const Line line = line_of(params);
    const auto value = static_cast<Bits>(params.value);
    auto* to = static_cast<int8_t*>(output);
    // Dimensions that became part of the line count once.
    int32_t shape[3], place[3] = {0, 0, 0};
    int32_t lines = 1;
    for (int d = 0; d < 3; ++d) {
        shape[d] = d < line.outer ? params.shape[d] : 1;
        lines *= shape[d];
    }
    for (; lines > 0; --lines) {
        const Bits* row = static_cast<const Bits*>(input);
        bool inside = true;
        for (int d = 0; d < line.outer; ++d) {
            const int32_t at = place[d] - params.before[d];
            inside = inside && at >= 0 && at < params.inside[d];
            row += at * params.strides[d];
        }
        pad_line<Core>(line, inside ? row : nullptr, value, to);
        to += line.length * static_cast<int32_t>(sizeof(Bits));
        for (int d = 2; d >= 0 && ++place[d] == shape[d]; --d) {
            place[d] = 0;
        }
    }
}

// The functions of pad.h by another core.
#define MCU_PAD(Core)                                                        \
    void pad_x8(const PadParams& params, const void* input, void* output) {  \
        padding::pad<Core, uint8_t>(params, input, output);                  \
    }                                                                        \
    void pad_x16(const PadParams& params, const void* input, void* output) { \
        padding::pad<Core, uint16_t>(params, input, output);                 \
    }                                                                        \
    void pad_x32(const PadParams& params, const void* input, void* output) { \
        padding::pad<Core, uint32_t>(params, input, output);                 \
    }

}  // namespace mcu::kernels::padding
