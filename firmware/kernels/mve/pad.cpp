#include "../reference/pad_lines.h"
#include "copy_vectors.h"

namespace mcu::kernels {
namespace {

// The value, repeated to a vector of bytes.
int8x16_t repeated(uint8_t value) {
    return vreinterpretq_s8_u8(vdupq_n_u8(value));
}
int8x16_t repeated(uint16_t value) {
    return vreinterpretq_s8_u16(vdupq_n_u16(value));
}
int8x16_t repeated(uint32_t value) {
    return vreinterpretq_s8_u32(vdupq_n_u32(value));
}

struct Helium {
    template <typename Bits>
    static void fill(int8_t* to, Bits value, int32_t count) {
        mve::fill_vectors(to, repeated(value), count * static_cast<int32_t>(sizeof(Bits)));
    }
    static void copy(int8_t* to, const int8_t* from, int32_t bytes) { mve::copy_bytes(to, from, bytes); }
};

}  // namespace

MCU_PAD(Helium)

}  // namespace mcu::kernels
