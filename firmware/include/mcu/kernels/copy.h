// Copy bytes unchanged: an output of the model that would share memory with an input or another output.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct CopyParams {
    int32_t bytes;
};

void copy(const CopyParams& params, const void* input, void* output);

}  // namespace mcu::kernels
