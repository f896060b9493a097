#include "mcu/kernels/dsp_add.h"

namespace mcu::kernels {
namespace {

template <int kPoint>
inline int8_t sum(const DspAddParams& factors, int32_t first, int32_t second) {
    const int32_t fixed = second * factors.second_factor + (first * factors.first_factor + factors.addend);
    int32_t result;
    __asm__("ssat %0, #8, %1, asr %2" : "=r"(result) : "r"(fixed), "I"(kPoint));
    return static_cast<int8_t>(result);
}

template <int kPoint>
void add(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspAddParams factors = params;
    int32_t left = factors.count;
    for (; left >= 4; left -= 4, first += 4, second += 4, output += 4) {
        // The output may be one of the operands, which is why all four are made before one is stored.
        const int8_t sums[4] = {
            sum<kPoint>(factors, first[0], second[0]), sum<kPoint>(factors, first[1], second[1]),
            sum<kPoint>(factors, first[2], second[2]), sum<kPoint>(factors, first[3], second[3])};
        output[0] = sums[0];
        output[1] = sums[1];
        output[2] = sums[2];
        output[3] = sums[3];
    }
    for (; left > 0; --left) {
        *output++ = sum<kPoint>(factors, *first++, *second++);
    }
}

template <int kPoint>
void add_lines(const DspAddLinesParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspAddParams& line = params.line;
    const LineOfSums<int8_t> all = {first, second, line.first_factor, line.second_factor, line.addend};
    for_each_line_of_sums(params.space, all, output, [&](const LineOfSums<int8_t>& one, int8_t* to) {
        add<kPoint>({line.count, one.first, one.second, one.addend}, one.a, one.b, to);
    });
}

}  // namespace

void dsp_add_21_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    add<21>(params, first, second, output);
}

void dsp_add_lines_21_s8(const DspAddLinesParams& params, const int8_t* first, const int8_t* second,
                         int8_t* output) {
    add_lines<21>(params, first, second, output);
}

void dsp_add_22_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    add<22>(params, first, second, output);
}

void dsp_add_lines_22_s8(const DspAddLinesParams& params, const int8_t* first, const int8_t* second,
                         int8_t* output) {
    add_lines<22>(params, first, second, output);
}

}  // namespace mcu::kernels
