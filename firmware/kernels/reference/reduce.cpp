#include "mcu/kernels/reduce.h"

namespace mcu::kernels {
namespace {

// Call `visit` with the offset of every position of four dimensions, outermost first.
template <typename Visit>
void for_each(const int32_t (&shape)[4], const int32_t (&strides)[4], const Visit& visit) {
    for (int32_t a = 0; a < shape[0]; ++a) {
        for (int32_t b = 0; b < shape[1]; ++b) {
            for (int32_t c = 0; c < shape[2]; ++c) {
                const int32_t offset = a * strides[0] + b * strides[1] + c * strides[2];
                for (int32_t d = 0; d < shape[3]; ++d) visit(offset + d * strides[3]);
            }
        }
    }
}

// Fold every element into a value that starts as `initial`.
template <typename In, typename Out, typename Fold>
void fold(const ReduceParams& params, const In* input, Out* output, Out initial, const Fold& step) {
    for_each(params.kept, params.kept_strides, [&](int32_t start) {
        Out value = initial;
        for_each(params.reduced, params.reduced_strides,
                 [&](int32_t offset) { value = step(value, input[start + offset]); });
        *output++ = value;
    });
}

int32_t reduced_count(const ReduceParams& params) {
    int32_t count = 1;
    for (const int32_t size : params.reduced) count *= size;
    return count;
}

// Whether `x` takes the place of `best`. Only a NaN differs from itself; it wins and is not replaced.
template <bool Largest, typename Number>
bool wins(Number x, Number best) {
    if (best != best) return false;
    return x != x || (Largest ? x > best : x < best);
}

template <bool Largest, typename Number>
Number winner(Number x, Number best) {
    return wins<Largest>(x, best) ? x : best;
}

// The winners of lines of neighbours, `width` of them, in turns: compilers make vectors of that.
template <bool Largest, typename Number>
void extreme_of_lines(const ReduceParams& params, int32_t width, const Number* input, Number* output) {
    const int32_t starts[4] = {params.kept[0], params.kept[1], params.kept[2], 1};
    for_each(starts, params.kept_strides, [&](int32_t start) {
        Number* __restrict__ const best = output;
        for (int32_t i = 0; i < width; ++i) best[i] = input[start + i];
        for_each(params.reduced, params.reduced_strides, [&](int32_t offset) {
            const Number* __restrict__ const line = input + start + offset;
            for (int32_t i = 0; i < width; ++i) best[i] = winner<Largest>(line[i], best[i]);
        });
        output += width;
    });
}

template <bool Largest, typename Number>
void extreme(const ReduceParams& params, const Number* input, Number* output) {
    if (params.kept_strides[3] == 1 && params.kept[3] > 1) {
        extreme_of_lines<Largest>(params, params.kept[3], input, output);
        return;
    }
    const int32_t runs[4] = {params.reduced[0], params.reduced[1], params.reduced[2], 1};
    const int32_t length = params.reduced[3];
    const int32_t stride = params.reduced_strides[3];
    for_each(params.kept, params.kept_strides, [&](int32_t start) {
        Number best = input[start];
        for_each(runs, params.reduced_strides, [&](int32_t offset) {
            const Number* const run = input + start + offset;
            if (stride == 1) {
                for (int32_t i = 0; i < length; ++i) best = winner<Largest>(run[i], best);
            } else {
                for (int32_t i = 0; i < length; ++i) best = winner<Largest>(run[i * stride], best);
            }
        });
        *output++ = best;
    });
}

template <bool Largest, typename Number>
void position_of_extreme(const ReduceParams& params, const Number* input, int64_t* output) {
    const int32_t runs[4] = {params.reduced[0], params.reduced[1], params.reduced[2], 1};
    const int32_t length = params.reduced[3];
    const int32_t stride = params.reduced_strides[3];
    for_each(params.kept, params.kept_strides, [&](int32_t start) {
        Number best = input[start];
        int32_t position = 0;
        int32_t found = 0;
        for_each(runs, params.reduced_strides, [&](int32_t offset) {
            const Number* at = input + start + offset;
            for (int32_t i = 0; i < length; ++i, at += stride) {
                if (wins<Largest>(*at, best)) {
                    best = *at;
                    found = position + i;
                }
            }
            position += length;
        });
        *output++ = found;
    });
}

int64_t wrapped(uint64_t value) {
    return static_cast<int64_t>(value);
}

}  // namespace

void sum_f32(const ReduceParams& params, const float* input, float* output) {
    fold(params, input, output, 0.0f, [](float sum, float x) { return sum + x; });
}

void sum_s64(const ReduceParams& params, const int64_t* input, int64_t* output) {
    fold(params, input, output, int64_t{0}, [](int64_t sum, int64_t x) {
        return wrapped(static_cast<uint64_t>(sum) + static_cast<uint64_t>(x));
    });
}

void prod_f32(const ReduceParams& params, const float* input, float* output) {
    fold(params, input, output, 1.0f, [](float product, float x) { return product * x; });
}

void prod_s64(const ReduceParams& params, const int64_t* input, int64_t* output) {
    fold(params, input, output, int64_t{1}, [](int64_t product, int64_t x) {
        return wrapped(static_cast<uint64_t>(product) * static_cast<uint64_t>(x));
    });
}

void mean_f32(const ReduceParams& params, const float* input, float* output) {
    const auto count = static_cast<float>(reduced_count(params));
    for_each(params.kept, params.kept_strides, [&](int32_t start) {
        float sum = 0.0f;
        for_each(params.reduced, params.reduced_strides,
                 [&](int32_t offset) { sum += input[start + offset]; });
        *output++ = sum / count;
    });
}

void var_f32(const VarianceParams& params, const float* input, float* output) {
    const ReduceParams& over = params.space;
    const auto count = static_cast<float>(reduced_count(over));
    for_each(over.kept, over.kept_strides, [&](int32_t start) {
        float sum = 0.0f;
        for_each(over.reduced, over.reduced_strides, [&](int32_t offset) { sum += input[start + offset]; });
        const float mean = sum / count;
        float squares = 0.0f;
        for_each(over.reduced, over.reduced_strides, [&](int32_t offset) {
            const float distance = input[start + offset] - mean;
            squares += distance * distance;
        });
        *output++ = squares / params.divisor;
    });
}

void any_bool(const ReduceParams& params, const bool* input, bool* output) {
    fold(params, input, output, false, [](bool found, bool x) { return found || x; });
}

void all_bool(const ReduceParams& params, const bool* input, bool* output) {
    fold(params, input, output, true, [](bool found, bool x) { return found && x; });
}

#define MCU_EXTREMES(suffix, type)                                                         \
    void amax_##suffix(const ReduceParams& params, const type* input, type* output) {      \
        extreme<true>(params, input, output);                                              \
    }                                                                                      \
    void amin_##suffix(const ReduceParams& params, const type* input, type* output) {      \
        extreme<false>(params, input, output);                                             \
    }                                                                                      \
    void argmax_##suffix(const ReduceParams& params, const type* input, int64_t* output) { \
        position_of_extreme<true>(params, input, output);                                  \
    }                                                                                      \
    void argmin_##suffix(const ReduceParams& params, const type* input, int64_t* output) { \
        position_of_extreme<false>(params, input, output);                                 \
    }
MCU_EXTREMES(s8, int8_t)
MCU_EXTREMES(s16, int16_t)
MCU_EXTREMES(s32, int32_t)
MCU_EXTREMES(s64, int64_t)
MCU_EXTREMES(f32, float)

}  // namespace mcu::kernels
