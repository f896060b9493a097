#include "mcu/kernels/add.h"

namespace mcu::kernels {
namespace {

// Keeps the operands' precision through their requantization.
constexpr int32_t kHeadroom = 1 << 20;

int32_t fixed(const AddOperand& operand, int8_t value) {
    return requantize((value - operand.zero_point) * kHeadroom, operand.multiplier, operand.shift);
}

}  // namespace

void add_s8(const AddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    for_each_pair(params.space, first, second, output, [&params](int8_t a, int8_t b) {
        const int32_t sum = wrapping_add(fixed(params.first, a), fixed(params.second, b));
        return to_int8(sum, params.multiplier, params.shift, params.epilogue);
    });
}

}  // namespace mcu::kernels
