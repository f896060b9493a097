// Int4 weights with VMLADAV: 32 multiply-accumulates of one output in five instructions, two of which take
// the halves of the bytes apart, and two loads of activations that outputs share.

#include "mcu/kernels/linear_w4.h"

#include <arm_mve.h>

#include <type_traits>

#include "mcu/kernels/tiles_w4.h"

namespace mcu::kernels {
namespace {

// VMULH is the high half of a product, all that counts of it with shifts from 33 on.
class VectorLast {
public:
    VectorLast(const tiles_w4::Layer& layer, int32_t o)
        : bias_(vldrwq_s32(layer.bias + o)),
          multipliers_(vldrwq_s32(layer.multipliers + o)),
          shifts_(vsubq_s32(vdupq_n_s32(32), vldrwq_s32(layer.shifts + o))) {}

    inline __attribute__((always_inline)) void finish(const tiles_w4::Layer& layer, const int32_t (&sums)[4],
                                                      int8_t* output) const {
        const int32x4_t products = {sums[0], sums[1], sums[2], sums[3]};
        int32x4_t value = vrshlq_s32(vmulhq_s32(vaddq_s32(bias_, products), multipliers_), shifts_);
        value = vaddq_n_s32(value, layer.params.zero_point);
        value = vmaxq_s32(value, vdupq_n_s32(layer.params.bounds.low));
        value = vminq_s32(value, vdupq_n_s32(layer.params.bounds.high));
        vstrbq_s32(output, value);
    }

private:
    int32x4_t bias_;
    int32x4_t multipliers_;
    int32x4_t shifts_;
};

struct HeliumW4 {
    static constexpr int kRows = 1;
    static constexpr int kOutputs = 4;
    static constexpr int kGroupedOutputs = 2;
    template <int O>
    using Last = std::conditional_t<O == 4, VectorLast, tiles_w4::Last<O>>;

    template <int R, int O>
    static inline __attribute__((always_inline)) void add(const int8x16_t (&low)[R],
                                                          const int8x16_t (&high)[R],
                                                          const int8x16_t (&pairs)[O],
                                                          int32_t (&sums)[R][O]) {
        const int8x16_t mask = vdupq_n_s8(-16);
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o) {
            const int8x16_t first = vshlq_n_s8(pairs[o], 4);
            const int8x16_t second = vandq_s8(pairs[o], mask);
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r) {
                sums[r][o] = vmladavaq_s8(sums[r][o], low[r], first);
                sums[r][o] = vmladavaq_s8(sums[r][o], high[r], second);
            }
        }
    }

    template <int R, int O>
    static inline __attribute__((always_inline)) void block(const int8_t* const (&x)[R],
                                                            const uint8_t* const (&w)[O],
                                                            int32_t (&sums)[R][O]) {
        int8x16_t low[R];
        int8x16_t high[R];
        int8x16_t pairs[O];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            low[r] = vldrbq_s8(x[r]);
            high[r] = vldrbq_s8(x[r] + 16);
        }
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o) {
            pairs[o] = vreinterpretq_s8_u8(vldrbq_u8(w[o]));
        }
        add(low, high, pairs, sums);
    }

    template <int R, int O>
    static inline __attribute__((always_inline)) void rest(const int8_t* const (&x)[R],
                                                           const uint8_t* const (&w)[O], int32_t count,
                                                           int32_t (&sums)[R][O]) {
        const int32_t half = (count + 1) / 2;
        const mve_pred16_t first = vctp8q(static_cast<uint32_t>(half));
        const mve_pred16_t second = vctp8q(static_cast<uint32_t>(count - half));
        int8x16_t low[R];
        int8x16_t high[R];
        int8x16_t pairs[O];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
            low[r] = vldrbq_z_s8(x[r], first);
            high[r] = vldrbq_z_s8(x[r] + half, second);
        }
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o) {
            pairs[o] = vreinterpretq_s8_u8(vldrbq_z_u8(w[o], first));
        }
        add(low, high, pairs, sums);
    }
};

}  // namespace

MCU_TILES_W4(HeliumW4)

}  // namespace mcu::kernels
