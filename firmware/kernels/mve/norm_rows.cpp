#include "mcu/kernels/norm_rows.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;

struct Sums {
    int32_t values;
    int32_t squares;
};

void add_row(const int8_t* row, int32_t count, Sums& sums) {
    for (; count > 0; count -= 16, row += 16) {
        const int8x16_t values = vldrbq_z_s8(row, vctp8q(static_cast<uint32_t>(count)));
        sums.values = vaddvaq_s8(sums.values, values);
        sums.squares = vmladavaq_s8(sums.squares, values, values);
    }
}

// Four elements of a row.
struct Normalized {
    NormRowsFactors factors;
    int32_t left;
    int32_t right;

    int8_t* store(const int8_t* from, int32x4_t weight, int32x4_t bias, mve_pred16_t some, int8_t* to) const {
        const int32x4_t scales = vdupq_n_s32(factors.scale);
        int32x4_t v = vmlasq_n_s32(vldrbq_z_s32(from, some), scales, factors.offset);
        v = vrshlq_n_s32(vmulhq_s32(v, vdupq_n_s32(factors.multiplier)), -factors.right);
        v = vrshlq_n_s32(vmulhq_s32(vshlq_r_s32(v, left), weight), -right);
        v = vshrq_n_s32(vqshlq_n_s32(vaddq_s32(v, bias), 8), 24);
        vstrbq_p_s32(to, v, some);
        return to + kLanes;
    }
};

}  // namespace

void mve_norm_rows_s8(const NormRowsParams& given, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output) {
    const NormRowsParams params = given;  // which stores of int8 cannot change
    for_each_norm_group(params, [&](int32_t start, int32_t entry) {
        Sums sums = {};
        for (int32_t r = 0; r < params.rows; ++r) {
            add_row(input + start + r * params.row_step, params.row, sums);
        }
        const Normalized normalized = {norm_rows_factors(params, sums.values, sums.squares), params.left,
                                       params.right};
        for (int32_t r = 0; r < params.rows; ++r) {
            const int8_t* from = input + start + r * params.row_step;
            int8_t* to = output + start + r * params.row_step;
            const int32_t* w = weight + entry;
            const int32_t* b = bias + entry;
            if (params.by_row) {
                const int32x4_t factor = vdupq_n_s32(w[r]);
                const int32x4_t addend = vdupq_n_s32(b[r]);
                for (int32_t left = params.row; left > 0; left -= kLanes, from += kLanes) {
                    to = normalized.store(from, factor, addend, vctp32q(static_cast<uint32_t>(left)), to);
                }
                continue;
            }
            for (int32_t left = params.row; left > 0; left -= kLanes, from += kLanes) {
                const mve_pred16_t some = vctp32q(static_cast<uint32_t>(left));
                to = normalized.store(from, vldrwq_z_s32(w, some), vldrwq_z_s32(b, some), some, to);
                w += kLanes;
                b += kLanes;
            }
        }
    });
}

}  // namespace mcu::kernels
