// Copy bytes unchanged; input and output may share some. An output of the model that would be the bytes of an
// input or of another output is copied, and so is a tensor that the plan moves within the arena.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct CopyParams {
    int32_t bytes;
};

void copy(const CopyParams& params, const void* input, void* output);

}  // namespace mcu::kernels
