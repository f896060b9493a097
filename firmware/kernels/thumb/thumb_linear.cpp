#include "mcu/kernels/thumb_linear.h"

namespace mcu::kernels {

void thumb_linear(const ThumbLinearParams& params, ThumbRowCore core, const int8_t* input,
                  const int32_t* packed, int8_t* output) {
    for (int32_t row = params.rows; row > 0; --row) {
        const int8_t* const end = input + params.inputs;
        int32_t total = 0;
#pragma GCC unroll 4
        for (const int8_t* at = input; at != end; ++at) {
            total += *at;
        }
        core({packed, input, end, -128 * total, output, output + params.outputs, params.bounds});
        input = end;
        output += params.outputs;
    }
}

}  // namespace mcu::kernels
