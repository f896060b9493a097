#include "mcu/kernels/permute.h"

#include <cstring>

namespace mcu::kernels {
namespace {

// Size is 0 where it is known at run time only. A copy of constant size is a load and a store.
template <std::size_t Size>
char* copy_row(const PermuteParams& params, const char* from, char* to) {
    const auto bytes = Size != 0 ? Size : static_cast<std::size_t>(params.element_bytes);
    for (int32_t i = 0; i < params.shape[5]; ++i) {
        std::memcpy(to, from, bytes);
        to += bytes;
        from += params.strides[5];
    }
    return to;
}

char* copy_row_of_any(const PermuteParams& params, const char* from, char* to) {
    switch (params.element_bytes) {
        case 1:
            return copy_row<1>(params, from, to);
        case 2:
            return copy_row<2>(params, from, to);
        case 4:
            return copy_row<4>(params, from, to);
        default:
            return copy_row<0>(params, from, to);
    }
}

}  // namespace

void permute(const PermuteParams& params, const void* input, void* output) {
    const int32_t* const shape = params.shape;
    const int32_t* const strides = params.strides;
    const auto* const source = static_cast<const char*>(input);
    auto* to = static_cast<char*>(output);
    for (int32_t a = 0; a < shape[0]; ++a) {
        for (int32_t b = 0; b < shape[1]; ++b) {
            for (int32_t c = 0; c < shape[2]; ++c) {
                for (int32_t d = 0; d < shape[3]; ++d) {
                    for (int32_t e = 0; e < shape[4]; ++e) {
                        const int32_t offset = a * strides[0] + b * strides[1] + c * strides[2] +
                                               d * strides[3] + e * strides[4];
                        to = copy_row_of_any(params, source + offset, to);
                    }
                }
            }
        }
    }
}

}  // namespace mcu::kernels
