// Two pairs at once: two words whose halves SMLABB and its kind multiply, so that nothing is taken apart.

#include "mcu/kernels/pairs_s16.h"

#include "words.h"

namespace mcu::kernels {
namespace {

// A word's lower or upper half times the lower half of another; the upper halves of both.
inline int32_t add_low_product(int32_t sum, int32_t word, int32_t other) {
    int32_t result;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(word), "r"(other), "r"(sum));
    return result;
}
inline int32_t add_high_product(int32_t sum, int32_t word, int32_t other) {
    int32_t result;
    __asm__("smlatb %0, %1, %2, %3" : "=r"(result) : "r"(word), "r"(other), "r"(sum));
    return result;
}
inline int32_t product_of_highs(int32_t a, int32_t b) {
    int32_t result;
    __asm__("smultt %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

inline int32_t saturated(int32_t value) {
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(value));
    return result;
}

template <bool kBounded>
inline int16_t finished(int32_t value, const BoundsS16& bounds) {
    if constexpr (kBounded) {
        return bounded_s16(value, bounds);
    }
    return static_cast<int16_t>(saturated(value));
}

inline bool is_bounded(const BoundsS16& bounds) {
    return bounds.low > -32768 || bounds.high < 32767;
}

struct Results {
    int16_t low;
    int16_t high;
};

// Calls two(a, b) with words of two pairs; what is alone, or further apart, is such a word's lower pair.
template <typename Two>
inline void for_each_two(const Broadcast& space, const int16_t* first, const int16_t* second, int16_t* output,
                         const Two& two) {
    const int32_t f = space.first[5];
    const int32_t s = space.second[5];
    const bool together = f <= 1 && s <= 1;
    for_each_line(space, first, second, output, [&](const int16_t* a, const int16_t* b, int16_t* to) {
        const int16_t repeated_a[2] = {*a, *a};
        const int16_t repeated_b[2] = {*b, *b};
        const int16_t* x = f == 0 ? repeated_a : a;
        const int16_t* y = s == 0 ? repeated_b : b;
        int32_t left = space.shape[5];
        for (; together && left >= 2; left -= 2, x += 2 * f, y += 2 * s, to += 2) {
            const Results results = two(dsp::load_word(x), dsp::load_word(y));
            to[0] = results.low;
            to[1] = results.high;
        }
        for (; left > 0; --left, x += f, y += s) {
            *to++ = two(*x, *y).low;
        }
    });
}

struct Sums {
    int32_t first;
    int32_t second;
    int32_t half;
    int32_t shift;
};

template <bool kBounded>
void add(const AddS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    const Sums sums = {params.first_multiplier, params.second_multiplier, (1 << params.shift) >> 1,
                       params.shift};
    const BoundsS16 bounds = params.bounds;
    for_each_two(params.space, first, second, output, [sums, bounds](int32_t a, int32_t b) {
        const int32_t low = add_low_product(add_low_product(sums.half, a, sums.first), b, sums.second);
        const int32_t high = add_high_product(add_high_product(sums.half, a, sums.first), b, sums.second);
        return Results{finished<kBounded>(low >> sums.shift, bounds),
                       finished<kBounded>(high >> sums.shift, bounds)};
    });
}

template <bool kBounded>
void mul(const MulS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    const HighScale scale = high_scale(params.multiplier, params.shift);
    const BoundsS16 bounds = params.bounds;
    for_each_two(params.space, first, second, output, [scale, bounds](int32_t a, int32_t b) {
        const int32_t low = high_product(static_cast<int16_t>(a) * static_cast<int16_t>(b), scale.multiplier);
        const int32_t high = high_product(product_of_highs(a, b), scale.multiplier);
        return Results{finished<kBounded>((low + scale.half) >> scale.right, bounds),
                       finished<kBounded>((high + scale.half) >> scale.right, bounds)};
    });
}

bool is_short(int32_t multiplier) {
    return multiplier == static_cast<int16_t>(multiplier);
}

}  // namespace

void add_s16(const AddS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    if (is_short(params.first_multiplier) && is_short(params.second_multiplier)) {
        const auto kernel = is_bounded(params.bounds) ? add<true> : add<false>;
        return kernel(params, first, second, output);
    }
    const int32_t half = (1 << params.shift) >> 1;
    for_each_pair(params.space, first, second, output, [&params, half](int16_t a, int16_t b) {
        const int32_t sum = a * params.first_multiplier + b * params.second_multiplier + half;
        return bounded_s16(sum >> params.shift, params.bounds);
    });
}

void mul_s16(const MulS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    if (params.shift >= 33) {
        const auto kernel = is_bounded(params.bounds) ? mul<true> : mul<false>;
        return kernel(params, first, second, output);
    }
    for_each_pair(params.space, first, second, output, [&params](int16_t a, int16_t b) {
        return to_int16(a * b, params.multiplier, params.shift, params.bounds);
    });
}

}  // namespace mcu::kernels
