#include "mcu/kernels/pad.h"

#include <cstring>

namespace mcu::kernels {
namespace {

// Position in the input along one dimension, or -1 outside.
int32_t position(const PadParams& params, int dimension, int32_t index) {
    const int32_t found = index - params.before[dimension];
    return found >= 0 && found < params.inside[dimension] ? found : -1;
}

template <typename Bits>
char* pad_row(const PadParams& params, const char* row, char* to) {
    const auto value = static_cast<Bits>(params.value);
    for (int32_t i = 0; i < params.shape[3]; ++i) {
        const int32_t at = row != nullptr ? position(params, 3, i) : -1;
        const auto stride = params.strides[3] * static_cast<int32_t>(sizeof(Bits));
        // Copied as bytes: the tensor's own type may be another of this size.
        std::memcpy(to, at >= 0 ? static_cast<const void*>(row + at * stride) : &value, sizeof(Bits));
        to += sizeof(Bits);
    }
    return to;
}

template <typename Bits>
void pad(const PadParams& params, const void* input, void* output) {
    auto* to = static_cast<char*>(output);
    for (int32_t a = 0; a < params.shape[0]; ++a) {
        for (int32_t b = 0; b < params.shape[1]; ++b) {
            for (int32_t c = 0; c < params.shape[2]; ++c) {
                const int32_t i = position(params, 0, a);
                const int32_t j = position(params, 1, b);
                const int32_t k = position(params, 2, c);
                const int32_t offset = i * params.strides[0] + j * params.strides[1] + k * params.strides[2];
                const bool inside = i >= 0 && j >= 0 && k >= 0;
                const auto* const from = static_cast<const Bits*>(input);
                to = pad_row<Bits>(params, inside ? reinterpret_cast<const char*>(from + offset) : nullptr,
                                   to);
            }
        }
    }
}

}  // namespace

void pad_x8(const PadParams& params, const void* input, void* output) {
    pad<uint8_t>(params, input, output);
}

void pad_x16(const PadParams& params, const void* input, void* output) {
    pad<uint16_t>(params, input, output);
}

void pad_x32(const PadParams& params, const void* input, void* output) {
    pad<uint32_t>(params, input, output);
}

}  // namespace mcu::kernels
