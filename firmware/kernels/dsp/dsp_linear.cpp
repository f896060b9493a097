#include "mcu/kernels/dsp_linear.h"

#include "four_sums.h"
#include "requantize.h"

namespace mcu::kernels {
namespace {

using dsp::Form;
using dsp::Sums;

// What follows the weights of a four in `packed`.
struct FourEnd {
    DspScale scales[4];
    int32_t numbers[4];
};

template <Form kForm>
inline void linear_long(const DspLinearParams& params, const int8_t* input, const int32_t* packed,
                        int8_t* output) {
    for (int32_t fours = params.fours; fours > 0; --fours) {
        const Sums sums = dsp::long_sums(input, params.inputs, packed);
        const FourEnd& four = *reinterpret_cast<const FourEnd*>(packed);
        packed += sizeof(FourEnd) / sizeof(int32_t);
        const int32_t all[4] = {sums.b, sums.a, sums.d, sums.c};
        for (int32_t i = 3; i >= 0; --i) {
            const int32_t doubled = dsp::doubled(all[i], four.scales[i]);
            output[four.numbers[i]] = dsp::requantize<kForm>(doubled, four.scales[i], params.bounds);
        }
    }
}

template <Form kForm>
inline void linear(const DspLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    const DspBounds bounds = params.bounds;
    for (int32_t fours = params.fours; fours > 0; --fours) {
        const Sums sums = dsp::four_sums(input, params.inputs, packed);
        const FourEnd& four = *reinterpret_cast<const FourEnd*>(packed);
        packed += sizeof(FourEnd) / sizeof(int32_t);
        const int32_t doubled[4] = {
            dsp::doubled(sums.b, four.scales[0]), dsp::doubled_high(sums.a, sums.b, four.scales[1]),
            dsp::doubled(sums.d, four.scales[2]), dsp::doubled_high(sums.c, sums.d, four.scales[3])};
        // From the last to the first: an output without a partner is stored after what stands for that.
#pragma GCC unroll 4
        for (int32_t i = 3; i >= 0; --i) {
            output[four.numbers[i]] = dsp::requantize<kForm>(doubled[i], four.scales[i], bounds);
        }
    }
}

}  // namespace

#define MCU_DSP_LINEAR(form, kForm)                                                                        \
    void dsp_linear_##form(const DspLinearParams& params, const int8_t* input, const int32_t* packed,      \
                           int8_t* output) {                                                               \
        linear<kForm>(params, input, packed, output);                                                      \
    }                                                                                                      \
    void dsp_linear_long_##form(const DspLinearParams& params, const int8_t* input, const int32_t* packed, \
                                int8_t* output) {                                                          \
        linear_long<kForm>(params, input, packed, output);                                                 \
    }

MCU_DSP_LINEAR(relu, Form::kRelu)
MCU_DSP_LINEAR(half_away, Form::kHalfAway)
MCU_DSP_LINEAR(bounded, Form::kBounded)

}  // namespace mcu::kernels
