#include "mcu/kernels/mve_batch_matmul.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kColumns = 4;
constexpr int32_t kVector = 16;

struct Columns {
    const int8_t* at[kColumns];
};

int32_t sum_of(const int8_t* values, int32_t count) {
    int32_t sum = 0;
    for (; count > 0; count -= 16, values += 16) {
        sum = vaddvaq_s8(sum, vldrbq_z_s8(values, vctp8q(static_cast<uint32_t>(count))));
    }
    return sum;
}

// Products of a row with four columns, and `right_offset` times the sum of the row. Assembly for the reason
// that conv_tile.h gives; not inlined, so that gcc has the registers.
[[gnu::noinline]] int32x4_t sums_of(const int8_t* row, Columns columns, int32_t count, int32_t right_offset) {
    int32_t a, b, c, d, sum;
    int32x4_t sums;
#define MVE_COLUMN(sum, at) "vldrb.u8 q6, [%[" #at "]], #16\n vmladava.s8 %[" #sum "], q7, q6\n"
    __asm__ volatile(
        "dlstp.8 lr, %[count]\n mov %[a], #0\n mov %[b], #0\n mov %[c], #0\n mov %[d], #0\n mov %[sum], #0\n"
        "1: vldrb.u8 q7, [%[row]], #16\n vaddva.s8 %[sum], q7\n" MVE_COLUMN(a, p0) MVE_COLUMN(b, p1)
            MVE_COLUMN(c, p2) MVE_COLUMN(d, p3) "letp lr, 1b\n"
        "vmov %e[sums], %[a], %[b]\n vmov %f[sums], %[c], %[d]\n"
        : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [sum] "=&Te"(sum), [sums] "=w"(sums),
          [row] "+r"(row), [p0] "+r"(columns.at[0]), [p1] "+r"(columns.at[1]), [p2] "+r"(columns.at[2]),
          [p3] "+r"(columns.at[3])
        : [count] "r"(count)
        : "q6", "q7", "lr", "memory");
#undef MVE_COLUMN
    return vaddq_n_s32(sums, right_offset * sum);
}

// Four sums to int8, as mve_conv2d.h has it.
inline int32x4_t requantized(const MveBatchMatmulParams& params, int32x4_t sums) {
    int32x4_t v = vqrdmulhq_n_s32(sums, params.multiplier);
    if (params.half_away) {
        v = vaddq_s32(v, vshrq_n_s32(v, 31));
    }
    return vshrq_n_s32(vqshlq_r_s32(vaddq_n_s32(v, params.addend), params.shift), 24);
}

// Four columns by all rows, whose products are one vector each: columns stay in registers.
void multiply_short(const MveBatchMatmulParams& params, const int8_t* left, const Columns& columns,
                    int32x4_t offset, mve_pred16_t some, int8_t* output) {
    const int32_t inner = params.inner;
    const mve_pred16_t used = vctp8q(static_cast<uint32_t>(inner));
    const int8x16_t first = vldrbq_z_s8(columns.at[0], used);
    const int8x16_t second = vldrbq_z_s8(columns.at[1], used);
    const int8x16_t third = vldrbq_z_s8(columns.at[2], used);
    const int8x16_t fourth = vldrbq_z_s8(columns.at[3], used);
    for (int32_t r = params.rows; r > 0; --r, left += inner, output += params.columns) {
        const int8x16_t row = vldrbq_z_s8(left, used);
        const int32x4_t sums = {vmladavq_s8(row, first), vmladavq_s8(row, second), vmladavq_s8(row, third),
                                vmladavq_s8(row, fourth)};
        const int32x4_t moved = vaddq_n_s32(offset, params.right_offset * vaddvq_s8(row));
        vstrbq_p_s32(output, requantized(params, vaddq_s32(sums, moved)), some);
    }
}

// One product: four columns after four.
void multiply(const MveBatchMatmulParams& given, const int8_t* left, const int8_t* right, int8_t* output) {
    const MveBatchMatmulParams params = given;  // which stores of int8 cannot change
    const int32_t inner = params.inner;
    for (int32_t c = 0; c < params.columns; c += kColumns) {
        const mve_pred16_t some = vctp32q(static_cast<uint32_t>(params.columns - c));
        // In place of columns that are missing, the last one again.
        Columns columns;
        int32_t offsets[kColumns];
        for (int32_t i = 0; i < kColumns; ++i) {
            columns.at[i] = right + (c + i < params.columns ? c + i : params.columns - 1) * inner;
            offsets[i] = params.left_offset * (sum_of(columns.at[i], inner) + inner * params.right_offset);
        }
        const int32x4_t offset = vldrwq_s32(offsets);
        if (inner <= kVector) {
            multiply_short(params, left, columns, offset, some, output + c);
            continue;
        }
        for (int32_t r = 0; r < params.rows; ++r) {
            const int32x4_t sums = sums_of(left + r * inner, columns, inner, params.right_offset);
            vstrbq_p_s32(output + r * params.columns + c, requantized(params, vaddq_s32(sums, offset)), some);
        }
    }
}

}  // namespace

void mve_batch_matmul_s8(const MveBatchMatmulParams& params, const int8_t* left, const int8_t* right,
                         int8_t* output) {
    for (int32_t b = 0; b < params.batch; ++b) {
        multiply(params, left, right, output);
        left += params.rows * params.inner;
        right += params.columns * params.inner;
        output += params.rows * params.columns;
    }
}

}  // namespace mcu::kernels
