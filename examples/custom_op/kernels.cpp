// The operators' C++ side: the functions that mcu/operator.h describes.

#include <cmath>

#include "mcu/operator.h"

namespace example {

void soft_threshold(mcu::Tensor<const float> x, double limit, mcu::Tensor<float> result) {
    for (size_t i = 0; i < x.data.size(); ++i) {
        const float left = std::fmax(std::fabs(x.data[i]) - static_cast<float>(limit), 0.0F);
        result.data[i] = std::copysign(left, x.data[i]);
    }
}

void sign_changes(mcu::Tensor<const float> x, mcu::Tensor<int32_t> result) {
    const size_t length = static_cast<size_t>(x.shape[1]);
    for (size_t row = 0; row < result.data.size(); ++row) {
        const auto values = x.data.subspan(row * length, length);
        int32_t changes = 0;
        for (size_t i = 1; i < length; ++i) {
            changes += (values[i] < 0) != (values[i - 1] < 0);
        }
        result.data[row] = changes;
    }
}

}  // namespace example
