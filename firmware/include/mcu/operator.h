// What a C++ function of a custom operator is given.
//
// torch.library's `example::scale(Tensor x, float factor, int steps, bool sign, int[] axes) -> Tensor`,
// called with float32, is the function
//
//   namespace example {
//   void scale(mcu::Tensor<const float> x, double factor, int64_t steps, bool sign,
//              std::span<const int64_t> axes, mcu::Tensor<float> result);
//   }
//
// arguments in the schema's order, then the results.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mcu {

// The elements of a tensor, the last dimension innermost, and its sizes, outermost first. Arguments and
// results never share memory.
template <typename T>
struct Tensor {
    std::span<T> data;
    std::span<const int32_t> shape;
};

}  // namespace mcu
