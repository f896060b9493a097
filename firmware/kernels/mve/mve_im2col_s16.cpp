#include "mcu/kernels/mve_im2col_s16.h"

#include <arm_mve.h>

#include "mcu/kernels/im2col_s16.h"

namespace mcu::kernels {
namespace {

struct Core {
    // Sums of O outputs, whose weights are `apart` from one another, over R rows.
    template <int R, int O>
    static inline __attribute__((always_inline)) void sums_of(const int16_t* const (&rows)[2], int32_t depth,
                                                              const int8_t* weights, int32_t apart,
                                                              int32_t (&sums)[R][O]) {
        const int16_t* x = rows[0];
        const int16_t* y = rows[R - 1];
        const int8_t* w = weights;
        const int8_t* v = weights + (O - 1) * apart;
        for (int32_t eights = depth >> 3; eights > 0; --eights) {
            const int16x8_t first = vldrhq_s16(x);
            const int16x8_t taps = vldrbq_s16(w);
            x += 8;
            w += 8;
            sums[0][0] = vmladavaq_s16(sums[0][0], first, taps);
            if constexpr (R == 2) {
                const int16x8_t second = vldrhq_s16(y);
                y += 8;
                sums[1][0] = vmladavaq_s16(sums[1][0], second, taps);
                if constexpr (O == 2) {
                    const int16x8_t others = vldrbq_s16(v);
                    v += 8;
                    sums[0][1] = vmladavaq_s16(sums[0][1], first, others);
                    sums[1][1] = vmladavaq_s16(sums[1][1], second, others);
                }
            } else if constexpr (O == 2) {
                const int16x8_t others = vldrbq_s16(v);
                v += 8;
                sums[0][1] = vmladavaq_s16(sums[0][1], first, others);
            }
        }
        if ((depth & 7) != 0) {
            const mve_pred16_t rest = vctp16q(static_cast<uint32_t>(depth & 7));
            for (int r = 0; r < R; ++r) {
                const int16x8_t values = vldrhq_z_s16(r == 0 ? x : y, rest);
                for (int o = 0; o < O; ++o) {
                    sums[r][o] = vmladavaq_s16(sums[r][o], values, vldrbq_z_s16(o == 0 ? w : v, rest));
                }
            }
        }
    }

    template <int R>
    static __attribute__((noinline)) void rows(const Conv2dS16Params& params, const LayerS16& layer,
                                               int32_t depth, const int16_t* const (&x)[2], int16_t* output) {
        const auto* weights = static_cast<const int8_t*>(layer.weights);
        const int32_t made = params.output.channels;
        const int32x4_t low = vdupq_n_s32(params.bounds.low);
        const int32x4_t high = vdupq_n_s32(params.bounds.high);
        int32_t o = 0;
        for (; o + 4 <= made; o += 4, weights += 4 * depth) {
            int32_t a[R][2] = {};
            int32_t b[R][2] = {};
            sums_of<R, 2>(x, depth, weights, depth, a);
            sums_of<R, 2>(x, depth, weights + 2 * depth, depth, b);
            const int32x4_t bias = vldrwq_s32(layer.bias + o);
            const int32x4_t multipliers = vldrwq_s32(layer.multipliers + o);
            // A negative shift goes to the right, and rounds.
            const int32x4_t left = vsubq_s32(vdupq_n_s32(32), vldrwq_s32(layer.shifts + o));
            for (int r = 0; r < R; ++r) {
                const int32x4_t sums = {a[r][0], a[r][1], b[r][0], b[r][1]};
                const int32x4_t moved = vrshlq_s32(vmulhq_s32(vaddq_s32(sums, bias), multipliers), left);
                vstrhq_s32(output + r * made + o, vminq_s32(vmaxq_s32(moved, low), high));
            }
        }
        for (; o < made; ++o, weights += depth) {
            int32_t sums[R][1] = {};
            sums_of<R, 1>(x, depth, weights, 0, sums);
            for (int r = 0; r < R; ++r) {
                output[r * made + o] = high_to_int16(sums[r][0] + layer.bias[o], layer.multipliers[o],
                                                     layer.shifts[o], params.bounds);
            }
        }
    }
};

}  // namespace

void mve_im2col_s16(const Conv2dS16Params& params, const int16_t* input, const int8_t* weights,
                    const int32_t* bias, const int32_t* multipliers, const int32_t* shifts, int16_t* output,
                    uint8_t* scratch) {
    im2col_s16<Core, 1>(params, input, {weights, bias, multipliers, shifts}, output,
                        reinterpret_cast<int16_t*>(scratch));
}

}  // namespace mcu::kernels
