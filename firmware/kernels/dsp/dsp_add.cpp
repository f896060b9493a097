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

// Fours of elements, by products with halfwords whose upper byte is the element: (factor << 8) * (element <<
// 8)
// >> 16. That takes half as many loads, and no extension. Assembly because both compilers keep operands on
// the stack: 32 and 31 instructions for four, 24 here. Not inlined: it takes 13 registers.
template <int kPoint>
[[gnu::noinline]] void add_fours(const DspAddParams& params, const int8_t* first, const int8_t* second,
                                 int8_t* output) {
    int32_t a, b, c, d, e;
    // The output may be one of the operands, which is why all four are made before one is stored.
    __asm__ volatile(
        "1: ldr %[a], [%[first]], #4\n ldr %[b], [%[second]], #4\n"
        "and %[c], %[upper], %[a], lsl #8\n and %[d], %[upper], %[b], lsl #8\n"
        "ands %[a], %[upper]\n ands %[b], %[upper]\n"
        "smlawb %[e], %[factor], %[c], %[addend]\n smlawb %[e], %[other], %[d], %[e]\n"
        "smlawt %[c], %[factor], %[c], %[addend]\n smlawt %[c], %[other], %[d], %[c]\n"
        "smlawb %[d], %[factor], %[a], %[addend]\n smlawb %[d], %[other], %[b], %[d]\n"
        "smlawt %[a], %[factor], %[a], %[addend]\n smlawt %[a], %[other], %[b], %[a]\n"
        "ssat %[e], #8, %[e], asr %[point]\n ssat %[d], #8, %[d], asr %[point]\n"
        "ssat %[c], #8, %[c], asr %[point]\n ssat %[a], #8, %[a], asr %[point]\n"
        "strb %[d], [%[output], #1]\n strb %[c], [%[output], #2]\n strb %[a], [%[output], #3]\n"
        "strb %[e], [%[output]], #4\n"
        "cmp %[output], %[end]\n bne 1b\n"
        : [first] "+r"(first), [second] "+r"(second), [output] "+r"(output), [a] "=&r"(a), [b] "=&r"(b),
          [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e)
        : [factor] "r"(params.first_factor * 256), [other] "r"(params.second_factor * 256),
          [addend] "r"(params.addend), [upper] "r"(0xFF00FF00), [end] "r"(output + params.count / 4 * 4),
          [point] "I"(kPoint)
        : "cc", "memory");
}

template <int kPoint>
void add(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspAddParams factors = params;
    const int32_t whole = factors.count / 4 * 4;
    if (whole > 0) {
        add_fours<kPoint>(factors, first, second, output);
    }
    for (int32_t i = whole; i < factors.count; ++i) {
        output[i] = sum<kPoint>(factors, first[i], second[i]);
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
