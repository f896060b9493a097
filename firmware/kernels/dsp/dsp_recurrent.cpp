#include "mcu/kernels/dsp_recurrent.h"

#include "../reference/recurrent_loop.h"
#include "four_sums.h"

namespace mcu::kernels {
namespace {

// Four rows by the linear layer's sums.
struct Dsp {
    using Value = int8_t;
    using Weight = int32_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int8_t* values, int32_t count, const int32_t*& weights,
                                         int32_t) {
        const dsp::Sums sums = dsp::long_sums(values, count, weights);
        return {{sums.b, sums.a, sums.d, sums.c}};
    }
};

}  // namespace

#define MCU_DSP_RECURRENT(layer) dsp_##layer##_s8
MCU_RECURRENT(MCU_DSP_RECURRENT, Dsp)

}  // namespace mcu::kernels
