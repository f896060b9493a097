#include "mcu/kernels/dsp_batch_matmul.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kRows = 4;

inline int32_t twice(int32_t value) {
    return (value & 0xFFFF) | value << 16;
}

// One row of the im2col buffer: every fourth pair of words.
void widen(const int8_t* from, int32_t count, int32_t offset, int32_t* to) {
    const int32_t pair = twice(offset);
    for (; count >= 4; count -= 4, from += 4, to += 2 * kRows) {
        const int32_t word = dsp::load_word(from);
        to[0] = dsp::add_even(pair, word);
        to[1] = dsp::add_odd(pair, word);
    }
    if (count > 0) {
        // No offset where there is no product.
        const int32_t word = dsp::load_bytes(from, count);
        to[0] = dsp::add_even(count > 2 ? pair : offset & 0xFFFF, word);
        to[1] = dsp::add_odd(count > 1 ? offset & 0xFFFF : 0, word);
    }
}

struct Sums {
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
};

// Four products onto the sum of each row: 14 instructions. From intrinsics gcc 12 keeps the sums in memory.
inline void accumulate(Sums& sums, const int32_t*& im2col, int32_t offsets, int32_t word) {
    int32_t even, x, y;
#define DSP_ROW(row)                     \
    "ldrd %[x], %[y], [%[im2col]], #8\n" \
    "smlad %[" row "], %[x], %[even], %[" row "]\nsmlad %[" row "], %[y], %[odd], %[" row "]\n"
    __asm__ volatile(
        "sxtab16 %[even], %[offsets], %[odd]\nsxtab16 %[odd], %[offsets], %[odd], ror #8\n" DSP_ROW("a")
            DSP_ROW("b") DSP_ROW("c") DSP_ROW("d")
        : [a] "+&r"(sums.a), [b] "+&r"(sums.b), [c] "+&r"(sums.c), [d] "+&r"(sums.d), [im2col] "+&r"(im2col),
          [odd] "+&r"(word), [even] "=&r"(even), [x] "=&r"(x), [y] "=&r"(y)
        : [offsets] "r"(offsets)
        : "memory");
#undef DSP_ROW
}

inline Sums products(const int32_t* im2col, const int8_t* column, int32_t inner, int32_t offset) {
    Sums sums;
    const int32_t offsets = twice(offset);
    int32_t left = inner;
    for (; left >= 4; left -= 4, column += 4) {
        accumulate(sums, im2col, offsets, dsp::load_word(column));
    }
    if (left > 0) {
        accumulate(sums, im2col, offsets, dsp::load_bytes(column, left));
    }
    return sums;
}

}  // namespace

void dsp_batch_matmul_s8(const DspBatchMatmulParams& params, const int8_t* left, const int8_t* right,
                         int8_t* output, uint8_t* im2col) {
    const auto words = reinterpret_cast<int32_t*>(im2col);
    const int32_t inner = params.inner;
    const int32_t columns = params.columns;
    const DspScale scale = params.scale;
    for (int32_t b = 0; b < params.batch; ++b) {
        for (int32_t done = 0; done < params.rows; done += kRows) {
            const int32_t last = params.rows - 1;
            const int32_t first =
                done + kRows <= params.rows || params.rows < kRows ? done : last - (kRows - 1);
            int8_t* to[kRows];
            for (int32_t i = 0; i < kRows; ++i) {
                const int32_t row = first + i < last ? first + i : last;
                widen(left + row * inner, inner, params.left_offset, words + 2 * i);
                to[i] = output + row * columns;
            }
            const int8_t* column = right;
            for (int32_t c = 0; c < columns; ++c, column += inner) {
                const Sums sums = products(words, column, inner, params.right_offset);
                to[0][c] = dsp::requantize<dsp::Form::kHalfAway>(2 * sums.a, scale, {});
                to[1][c] = dsp::requantize<dsp::Form::kHalfAway>(2 * sums.b, scale, {});
                to[2][c] = dsp::requantize<dsp::Form::kHalfAway>(2 * sums.c, scale, {});
                to[3][c] = dsp::requantize<dsp::Form::kHalfAway>(2 * sums.d, scale, {});
            }
        }
        left += params.rows * inner;
        right += columns * inner;
        output += params.rows * columns;
    }
}

}  // namespace mcu::kernels
