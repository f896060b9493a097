#include "mcu/kernels/thumb_linear.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

template <Form kForm>
inline void row_of(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    const DspBounds bounds = params.bounds;
    const int8_t* const end = input + params.inputs;
    const auto* weights = reinterpret_cast<const int8_t*>(packed);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        int32_t sums[4] = {0, 0, 0, 0};
#pragma GCC unroll 4
        for (const int8_t* x = input; x != end; ++x, weights += 4) {
            sums[0] += *x * weights[0];
            sums[1] += *x * weights[1];
            sums[2] += *x * weights[2];
            sums[3] += *x * weights[3];
        }
        const auto* scale = reinterpret_cast<const DspScale*>(weights);
        for (int32_t i = 0; i < 4 && i < left; ++i, ++scale) {
            *output++ = thumb::rescale<kForm>(sums[i], *scale, bounds);
        }
        weights += 4 * sizeof(DspScale);
    }
}

template <Form kForm>
inline void linear(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    for (int32_t row = params.rows; row > 0; --row) {
        row_of<kForm>(params, input, packed, output);
        input += params.inputs;
        output += params.outputs;
    }
}

}  // namespace

#define MCU_THUMB_LINEAR(form, kForm)                                                                     \
    void thumb_linear_##form(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed, \
                             int8_t* output) {                                                            \
        linear<kForm>(params, input, packed, output);                                                     \
    }

MCU_THUMB_LINEAR(relu, Form::kRelu)
MCU_THUMB_LINEAR(ties, Form::kTies)
MCU_THUMB_LINEAR(bounded, Form::kBounded)

}  // namespace mcu::kernels
