#include "mcu/kernels/gather.h"

#include <cstring>

namespace mcu::kernels {
namespace {

int32_t inside(int64_t index, int32_t size) {
    const int64_t found = index < 0 ? index + size : index;
    return static_cast<int32_t>(found < 0 ? 0 : found >= size ? size - 1 : found);
}

}  // namespace

void take(const TakeParams& params, const void* input, const int64_t* index, void* output) {
    const auto bytes = static_cast<std::size_t>(params.block_bytes);
    const auto* from = static_cast<const char*>(input);
    auto* to = static_cast<char*>(output);
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.count; ++i) {
            std::memcpy(to, from + inside(index[i], params.size) * params.block_bytes, bytes);
            to += bytes;
        }
        from += params.size * params.block_bytes;
    }
}

void gather(const GatherParams& params, const void* input, const int64_t* index, void* output) {
    const auto bytes = static_cast<std::size_t>(params.element_bytes);
    const int32_t* const shape = params.shape;
    const int32_t* const strides = params.strides;
    const auto* const source = static_cast<const char*>(input);
    auto* to = static_cast<char*>(output);
    for (int32_t a = 0; a < shape[0]; ++a) {
        for (int32_t b = 0; b < shape[1]; ++b) {
            for (int32_t c = 0; c < shape[2]; ++c) {
                for (int32_t d = 0; d < shape[3]; ++d) {
                    for (int32_t e = 0; e < shape[4]; ++e) {
                        const char* const row = source + a * strides[0] + b * strides[1] + c * strides[2] +
                                                d * strides[3] + e * strides[4];
                        for (int32_t f = 0; f < shape[5]; ++f) {
                            const int32_t at = inside(*index++, params.size) * params.stride;
                            std::memcpy(to, row + f * strides[5] + at, bytes);
                            to += bytes;
                        }
                    }
                }
            }
        }
    }
}

}  // namespace mcu::kernels
