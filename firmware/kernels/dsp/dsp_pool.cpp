#include "mcu/kernels/dsp_pool.h"

#include "mcu/kernels/window_runs.h"
#include "requantize.h"

namespace mcu::kernels {
namespace {

// Quotients of numbers below 2^15 by `count`: a * factor >> shift, exactly, with factor = ceil(2^shift /
// count) and 2^(shift - 15) >= count (Granlund and Montgomery, 1994).
struct Divisor {
    int32_t count;
    uint32_t half;
    uint32_t factor;
    uint32_t shift;
};

inline Divisor divisor_of(int32_t count) {
    const auto divisor = static_cast<uint32_t>(count);
    const uint32_t shift = count > 1 ? 47u - static_cast<uint32_t>(__builtin_clz(divisor - 1)) : 16;
    return {count, divisor / 2, ((1u << shift) + divisor - 1) / divisor, shift};
}

// To the nearest, half away from zero.
inline int8_t divide_round(int32_t sum, const Divisor& divisor) {
    const int32_t sign = sum >> 31;
    const uint32_t magnitude = static_cast<uint32_t>((sum ^ sign) - sign) + divisor.half;
    const auto found = static_cast<int32_t>(magnitude * divisor.factor >> divisor.shift);
    return static_cast<int8_t>((found ^ sign) - sign);
}

// The larger of each byte of two words. One statement: the flags of SSUB8 are what SEL chooses by.
inline int32_t larger_bytes(int32_t a, int32_t b) {
    int32_t result;
    __asm__("ssub8 %0, %1, %2\nsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}
inline int32_t smaller_bytes(int32_t a, int32_t b) {
    int32_t result;
    __asm__("ssub8 %0, %1, %2\nsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}

// Of four channels.
struct Average {
    static constexpr int32_t kTogether = 4;
    struct Sums {
        int32_t even;
        int32_t odd;
    };
    Divisor divisor;

    static Sums start() { return {0, 0}; }
    static Sums add(Sums sums, const int8_t* from) {
        const int32_t word = dsp::load_word(from);
        return {dsp::add_even(sums.even, word), dsp::add_odd(sums.odd, word)};
    }
    void finish(Sums sums, int8_t* to) const {
        to[0] = divide_round(static_cast<int16_t>(sums.even), divisor);
        to[1] = divide_round(static_cast<int16_t>(sums.odd), divisor);
        to[2] = divide_round(sums.even >> 16, divisor);
        to[3] = divide_round(sums.odd >> 16, divisor);
    }
};

// Of four channels.
struct Maximum {
    static constexpr int32_t kTogether = 4;
    int32_t low;
    int32_t high;

    int32_t start() const { return low; }
    static int32_t add(int32_t found, const int8_t* from) {
        return larger_bytes(found, dsp::load_word(from));
    }
    void finish(int32_t found, int8_t* to) const { dsp::store_word(smaller_bytes(found, high), to); }
};

}  // namespace

void dsp_avg_pool2d_s8(const AvgPool2dParams& params, const int8_t* input, int8_t* output) {
    Divisor divisor = divisor_of(1);
    for_each_run(params, input, output, [&](const WindowRun<int8_t>& run, int8_t* to) {
        if (run.rows * run.columns != divisor.count) {
            divisor = divisor_of(run.rows * run.columns);
        }
        reduce_run<0>(run, Average{divisor}, to);
    });
}

void dsp_max_pool2d_s8(const MaxPool2dParams& params, const int8_t* input, int8_t* output) {
    constexpr int32_t kBytes = 0x01010101;
    const Maximum operation = {static_cast<uint8_t>(params.activation_min) * kBytes,
                               static_cast<uint8_t>(params.activation_max) * kBytes};
    for_each_run(params, input, output,
                 [&](const WindowRun<int8_t>& run, int8_t* to) { reduce_columns(run, operation, to); });
}

}  // namespace mcu::kernels
