#include "mcu/kernels/mul.h"

namespace mcu::kernels {

void mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    for_each_pair(params.space, first, second, output, [&params](int8_t a, int8_t b) {
        const int32_t product = (a - params.first_zero_point) * (b - params.second_zero_point);
        return to_int8(product, params.multiplier, params.shift, params.epilogue);
    });
}

}  // namespace mcu::kernels
