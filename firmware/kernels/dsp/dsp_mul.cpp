#include "mcu/kernels/dsp_mul.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

inline int32_t twice(int32_t half) {
    return static_cast<int32_t>(static_cast<uint32_t>(half) << 16 | (static_cast<uint32_t>(half) & 0xFFFF));
}

// `fours` times four elements of dense operands: 36 instructions for four, where compilers make 15 for one.
// Not inlined: it takes 13 registers. The rounds left stand above the shift, of which ASR takes the lowest
// byte.
[[gnu::noinline]] void fours_of(const DspMulParams& params, int32_t fours, const int8_t* first,
                                const int8_t* second, int8_t* output) {
    int32_t left = (fours - 1) * 256 + params.scale.shift;
    int32_t a, b, c, d, e;
    // The output may be one of the operands, of which all four were loaded before one is stored.
#define DSP_REQUANTIZED(value, scratch)                                                          \
    "add %[" scratch "], %[addend], %[" value "], asr #31\n smmlar %[" value "], %[" value       \
    "], %[multiplier], %[" scratch "]\n asr %[" value "], %[" value "], %[left]\n ssat %[" value \
    "], #8, %[" value "]\n"
    __asm__ volatile(
        "1: ldr %[a], [%[first]], #4\n ldr %[b], [%[second]], #4\n"
        "sxtab16 %[c], %[first_zeros], %[a]\n sxtab16 %[d], %[second_zeros], %[b]\n"
        "sxtab16 %[a], %[first_zeros], %[a], ror #8\n sxtab16 %[b], %[second_zeros], %[b], ror #8\n"
        "sadd16 %[d], %[d], %[d]\n sadd16 %[b], %[b], %[b]\n"
        "smulbb %[e], %[c], %[d]\n smultt %[c], %[c], %[d]\n smulbb %[d], %[a], %[b]\n smultt %[a], %[a], %[b]\n"
        DSP_REQUANTIZED("e", "b") DSP_REQUANTIZED("d", "b") DSP_REQUANTIZED("c", "b") DSP_REQUANTIZED("a", "b")
        "strb %[d], [%[output], #1]\n strb %[c], [%[output], #2]\n strb %[a], [%[output], #3]\n"
        "strb %[e], [%[output]], #4\n"
        "subs %[left], #256\n bcs 1b\n"
        : [first] "+r"(first), [second] "+r"(second), [output] "+r"(output), [left] "+r"(left), [a] "=&r"(a),
          [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [e] "=&r"(e)
        : [first_zeros] "r"(twice(-params.first_zero)), [second_zeros] "r"(twice(-params.second_zero)),
          [multiplier] "r"(params.scale.multiplier), [addend] "r"(params.scale.addend)
        : "cc", "memory");
#undef DSP_REQUANTIZED
}

}  // namespace

void dsp_mul_s8(const DspMulParams& given, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspMulParams params = given;  // which stores of int8 cannot change
    const int32_t zero = params.first_zero;
    const int32_t doubled_zero = 2 * params.second_zero;
    const int32_t first_step = params.space.first[5];
    const int32_t second_step = params.space.second[5];
    const int32_t count = params.space.shape[5];
    const int32_t whole = first_step == 1 && second_step == 1 ? count / 4 * 4 : 0;
    for_each_line(params.space, first, second, output, [&](const int8_t* a, const int8_t* b, int8_t* to) {
        if (whole > 0) {
            fours_of(params, whole / 4, a, b, to);
        }
        for (int32_t i = whole; i < count; ++i) {
            const int32_t doubled = (a[i * first_step] - zero) * (2 * b[i * second_step] - doubled_zero);
            to[i] = dsp::requantize<dsp::Form::kHalfAway>(doubled, params.scale, {});
        }
    });
}

}  // namespace mcu::kernels
