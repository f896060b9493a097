#include "mcu/kernels/norm_rows.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;

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

void add_row(const int8_t* row, int32_t count, Sums<int32_t>& sums) {
    for (; count > 0; count -= 16, row += 16) {
        const int8x16_t values = vldrbq_z_s8(row, vctp8q(static_cast<uint32_t>(count)));
        sums.values = vaddvaq_s8(sums.values, values);
        sums.squares = vmladavaq_s8(sums.squares, values, values);
    }
}

void add_row(const int16_t* row, int32_t count, Sums<int64_t>& sums) {
    for (; count > 0; count -= 8, row += 8) {
        const int16x8_t values = vldrhq_z_s16(row, vctp16q(static_cast<uint32_t>(count)));
        sums.values = vaddvaq_s16(sums.values, values);
        sums.squares = vmlaldavaq_s16(sums.squares, values, values);
    }
}

inline int32x4_t load(const int8_t* from, mve_pred16_t some) {
    return vldrbq_z_s32(from, some);
}
inline int32x4_t load(const int16_t* from, mve_pred16_t some) {
    return vldrhq_z_s32(from, some);
}

// Results have 16 bits behind the point, those of int16 12.
inline void store(int32x4_t results, mve_pred16_t some, int8_t* to) {
    vstrbq_p_s32(to, vshrq_n_s32(vqshlq_n_s32(results, 8), 24), some);
}
inline void store(int32x4_t results, mve_pred16_t some, int16_t* to) {
    vstrhq_p_s32(to, vshrq_n_s32(vqshlq_n_s32(results, 4), 16), some);
}

// Four elements of a row.
struct Normalized {
    NormRowsFactors factors;
    int32_t left;
    int32_t right;

    template <typename T>
    T* store_four(const T* from, int32x4_t weight, int32x4_t bias, mve_pred16_t some, T* to) const {
        const int32x4_t scales = vdupq_n_s32(factors.scale);
        int32x4_t v = vmlasq_n_s32(load(from, some), scales, factors.offset);
        v = vrshlq_n_s32(vmulhq_s32(v, vdupq_n_s32(factors.multiplier)), -factors.right);
        v = vrshlq_n_s32(vmulhq_s32(vshlq_r_s32(v, left), weight), -right);
        store(vaddq_s32(v, bias), some, to);
        return to + kLanes;
    }
};

template <typename T>
void norm_rows(const NormRowsParams& given, const T* input, const int32_t* weight, const int32_t* bias,
               T* output) {
    const NormRowsParams params = given;  // which stores of int8 cannot change
    for_each_norm_group(params, [&](int32_t start, int32_t entry) {
        auto sums = no_sums(input);
        for (int32_t r = 0; r < params.rows; ++r) {
            add_row(input + start + r * params.row_step, params.row, sums);
        }
        const Normalized normalized = {norm_rows_factors(params, sums.values, sums.squares), params.left,
                                       params.right};
        for (int32_t r = 0; r < params.rows; ++r) {
            const T* from = input + start + r * params.row_step;
            T* to = output + start + r * params.row_step;
            const int32_t* w = weight + entry;
            const int32_t* b = bias + entry;
            if (params.by_row) {
                const int32x4_t factor = vdupq_n_s32(w[r]);
                const int32x4_t addend = vdupq_n_s32(b[r]);
                for (int32_t left = params.row; left > 0; left -= kLanes, from += kLanes) {
                    to =
                        normalized.store_four(from, factor, addend, vctp32q(static_cast<uint32_t>(left)), to);
                }
                continue;
            }
            for (int32_t left = params.row; left > 0; left -= kLanes, from += kLanes) {
                const mve_pred16_t some = vctp32q(static_cast<uint32_t>(left));
                to = normalized.store_four(from, vldrwq_z_s32(w, some), vldrwq_z_s32(b, some), some, to);
                w += kLanes;
                b += kLanes;
            }
        }
    });
}

}  // namespace

void mve_norm_rows_s8(const NormRowsParams& params, const int8_t* input, const int32_t* weight,
                      const int32_t* bias, int8_t* output) {
    norm_rows(params, input, weight, bias, output);
}

void mve_norm_rows_s16(const NormRowsParams& params, const int16_t* input, const int32_t* weight,
                       const int32_t* bias, int16_t* output) {
    norm_rows(params, input, weight, bias, output);
}

}  // namespace mcu::kernels
