#include "mcu/kernels/pad.h"

#include <arm_mve.h>

#include <cstring>

#include "copy_vectors.h"

namespace mcu::kernels {
namespace {

// The value, repeated to a vector of bytes.
int8x16_t repeated(uint8_t value) {
    return vreinterpretq_s8_u8(vdupq_n_u8(value));
}
int8x16_t repeated(uint16_t value) {
    return vreinterpretq_s8_u16(vdupq_n_u16(value));
}
int8x16_t repeated(uint32_t value) {
    return vreinterpretq_s8_u32(vdupq_n_u32(value));
}

int8_t* fill(int8_t* to, int8x16_t values, int32_t bytes) {
    mve::fill_vectors(to, values, bytes);
    return to + bytes;
}

int32_t within(int32_t value, int32_t high) {
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

Line line_of(const PadParams& params) {
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
template <typename Bits>
int8_t* pad_line(const Line& line, const Bits* row, int8x16_t value, int8_t* to) {
    constexpr int32_t kSize = sizeof(Bits);
    if (row == nullptr) {
        return fill(to, value, line.length * kSize);
    }
    const int32_t start = within(line.before, line.length);
    const int32_t end = within(line.before + line.inside, line.length);
    to = fill(to, value, start * kSize);
    const Bits* from = row + (start - line.before) * line.stride;
    if (line.stride == 1) {
        mve::copy_bytes(to, reinterpret_cast<const int8_t*>(from), (end - start) * kSize);
        to += (end - start) * kSize;
    } else {
        for (int32_t i = start; i < end; ++i) {
            std::memcpy(to, from, kSize);
            to += kSize;
            from += line.stride;
        }
    }
    return fill(to, value, (line.length - end) * kSize);
}

template <typename Bits>
void pad(const PadParams& params, const void* input, void* output) {
    const Line line = line_of(params);
    const int8x16_t value = repeated(static_cast<Bits>(params.value));
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
        to = pad_line(line, inside ? row : nullptr, value, to);
        for (int d = 2; d >= 0 && ++place[d] == shape[d]; --d) {
            place[d] = 0;
        }
    }
}

}  // namespace

void pad_x8(const PadParams& params, const void* input, void* output) {
    pad<uint8_t>(params, input, output);
}

void pad_x16(const PadParams& params, const void* input, void* output) {
    pad<uint16_t>(params, input, output);
}

void pad_x32(const PadParams& params, const void* input, void* output) {
    pad<uint32_t>(params, input, output);
}

}  // namespace mcu::kernels
