#include "mcu/kernels/norm_rows.h"

#include "words.h"

namespace mcu::kernels {
namespace {

struct Sums {
    int32_t values;
    int32_t squares;
};

inline int32_t add_products(int32_t sum, int32_t a, int32_t b) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

void add_row(const int8_t* row, int32_t count, Sums& sums) {
    constexpr int32_t kOnes = 0x00010001;
    for (; count >= 4; count -= 4, row += 4) {
        const int32_t word = dsp::load_word(row);
        const int32_t even = dsp::even_bytes(word);
        const int32_t odd = dsp::odd_bytes(word);
        sums.values = add_products(add_products(sums.values, even, kOnes), odd, kOnes);
        sums.squares = add_products(add_products(sums.squares, even, even), odd, odd);
    }
    for (; count > 0; --count, ++row) {
        sums.values += *row;
        sums.squares += *row * *row;
    }
}

inline int32_t high_half(int32_t a, int32_t b) {
    return static_cast<int32_t>((int64_t{a} * b) >> 32);
}

inline int8_t saturated(int32_t value) {
    int32_t found;
    __asm__("ssat %0, #8, %1, asr #16" : "=r"(found) : "r"(value));
    return static_cast<int8_t>(found);
}

}  // namespace

void dsp_norm_rows_s8(const NormRowsParams& given, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output) {
    const NormRowsParams params = given;  // which stores of int8 cannot change
    const int32_t last_half = int32_t{1} << (params.right - 1);
    const int32_t entry_step = params.by_row ? 0 : 1;
    for_each_norm_group(params, [&](int32_t start, int32_t entry) {
        Sums sums = {};
        for (int32_t r = 0; r < params.rows; ++r) {
            add_row(input + start + r * params.row_step, params.row, sums);
        }
        const NormRowsFactors factors = norm_rows_factors(params, sums.values, sums.squares);
        const int32_t half = int32_t{1} << (factors.right - 1);
        for (int32_t r = 0; r < params.rows; ++r) {
            const int8_t* from = input + start + r * params.row_step;
            int8_t* to = output + start + r * params.row_step;
            const int32_t* w = weight + entry + (params.by_row ? r : 0);
            const int32_t* b = bias + entry + (params.by_row ? r : 0);
            for (int32_t left = params.row; left > 0; --left, w += entry_step, b += entry_step) {
                const int32_t difference = *from++ * factors.scale + factors.offset;
                const int32_t normalized =
                    (high_half(difference, factors.multiplier) + half) >> factors.right;
                const int32_t shifted =
                    static_cast<int32_t>(static_cast<uint32_t>(normalized) << params.left);
                *to++ = saturated(((high_half(shifted, *w) + last_half) >> params.right) + *b);
            }
        }
    });
}

}  // namespace mcu::kernels
