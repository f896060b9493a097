#include "mcu/kernels/thumb_linear.h"

#include "four_rows.h"
#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;
using thumb::FourRows;

template <Form kForm>
inline void row_of(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    const DspBounds bounds = params.bounds;
    const int32_t inputs = params.inputs;
    const int32_t together = inputs & ~7;
    const auto* row = reinterpret_cast<const int8_t*>(packed);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        const int8_t* const end = row + together;
        FourRows rows = {
            {-together, input + together, {end, end + inputs, end + 2 * inputs, end + 3 * inputs}}};
        if (together != 0) {
            thumb::four_sums(&rows);
        } else {
            rows = {.sums = {0, 0, 0, 0}};
        }
        const auto* scale = reinterpret_cast<const DspScale*>(row + 4 * inputs);
        for (int32_t i = 0; i < 4 && i < left; ++i, ++scale, row += inputs) {
            int32_t sum = rows.sums[i];
            for (int32_t at = together; at < inputs; ++at) {
                sum += input[at] * row[at];
            }
            *output++ = thumb::rescale<kForm>(sum, *scale, bounds);
        }
        row += 4 * sizeof(DspScale);
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
