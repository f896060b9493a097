#include "mcu/kernels/copy.h"

#include <cstring>

namespace mcu::kernels {

void copy(const CopyParams& params, const void* input, void* output) {
    std::memmove(output, input, static_cast<std::size_t>(params.bytes));
}

}  // namespace mcu::kernels
