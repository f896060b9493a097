#include "mcu/kernels/concat.h"

#include <cstring>

namespace mcu::kernels {

void concat(const ConcatParams& params, const void* input, void* output) {
    const auto* from = static_cast<const char*>(input);
    auto* to = static_cast<char*>(output) + params.offset;
    for (int32_t row = 0; row < params.rows; ++row) {
        std::memcpy(to, from, static_cast<std::size_t>(params.bytes));
        from += params.bytes;
        to += params.stride;
    }
}

}  // namespace mcu::kernels
