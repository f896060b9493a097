#include "mcu/kernels/norm_rows.h"

#include <arm_acle.h>

#include "words.h"

namespace mcu::kernels {
namespace {

template <typename Squares>
struct Sums {
    int32_t values;
    Squares squares;
};

Sums<int32_t> no_sums(const int8_t*) {
    return {};
}
Sums<int64_t> no_sums(const int16_t*) {
    return {};
}

constexpr int32_t kOnes = 0x00010001;

inline int32_t add_products(int32_t sum, int32_t a, int32_t b) {
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

void add_row(const int8_t* row, int32_t count, Sums<int32_t>& sums) {
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

void add_row(const int16_t* row, int32_t count, Sums<int64_t>& sums) {
    for (; count >= 2; count -= 2, row += 2) {
        const int32_t word = dsp::load_word(row);
        sums.values = add_products(sums.values, word, kOnes);
        sums.squares = __smlald(word, word, sums.squares);
    }
    if (count > 0) {
        sums.values += *row;
        sums.squares += *row * *row;
    }
}

inline int32_t high_half(int32_t a, int32_t b) {
    return static_cast<int32_t>((int64_t{a} * b) >> 32);
}

// Results have 16 bits behind the point, those of int16 12.
inline void store(int32_t value, int8_t* to) {
    int32_t found;
    __asm__("ssat %0, #8, %1, asr #16" : "=r"(found) : "r"(value));
    *to = static_cast<int8_t>(found);
}
inline void store(int32_t value, int16_t* to) {
    int32_t found;
    __asm__("ssat %0, #16, %1, asr #12" : "=r"(found) : "r"(value));
    *to = static_cast<int16_t>(found);
}

template <typename T>
void norm_rows(const NormRowsParams& given, const T* input, const int32_t* weight, const int32_t* bias,
               T* output) {
    const NormRowsParams params = given;  // which stores of int8 cannot change
    const int32_t last_half = int32_t{1} << (params.right - 1);
    const int32_t entry_step = params.by_row ? 0 : 1;
    for_each_norm_group(params, [&](int32_t start, int32_t entry) {
        auto sums = no_sums(input);
        for (int32_t r = 0; r < params.rows; ++r) {
            add_row(input + start + r * params.row_step, params.row, sums);
        }
        const NormRowsFactors factors = norm_rows_factors(params, sums.values, sums.squares);
        const int32_t half = int32_t{1} << (factors.right - 1);
        for (int32_t r = 0; r < params.rows; ++r) {
            const T* from = input + start + r * params.row_step;
            T* to = output + start + r * params.row_step;
            const int32_t* w = weight + entry + (params.by_row ? r : 0);
            const int32_t* b = bias + entry + (params.by_row ? r : 0);
            for (int32_t left = params.row; left > 0; --left, w += entry_step, b += entry_step) {
                const auto difference = static_cast<int32_t>(static_cast<uint32_t>(*from++) *
                                                                 static_cast<uint32_t>(factors.scale) +
                                                             static_cast<uint32_t>(factors.offset));
                const int32_t normalized =
                    (high_half(difference, factors.multiplier) + half) >> factors.right;
                const int32_t shifted =
                    static_cast<int32_t>(static_cast<uint32_t>(normalized) << params.left);
                store(((high_half(shifted, *w) + last_half) >> params.right) + *b, to++);
            }
        }
    });
}

}  // namespace

void dsp_norm_rows_s8(const NormRowsParams& params, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output) {
    norm_rows(params, input, weight, bias, output);
}

void dsp_norm_rows_s16(const NormRowsParams& params, const int16_t* input, const int32_t* weight,
                       const int32_t* bias, int16_t* output) {
    norm_rows(params, input, weight, bias, output);
}

}  // namespace mcu::kernels
