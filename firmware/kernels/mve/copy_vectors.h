// Copies and fills with predicated vectors: two instructions and a branch for 16 bytes.

#pragma once

#include <arm_mve.h>

#include <cstdint>

namespace mcu::kernels::mve {

inline void copy_bytes(int8_t* to, const int8_t* from, int32_t count) {
    for (; count > 0; count -= 16) {
        const mve_pred16_t left = vctp8q(static_cast<uint32_t>(count));
        vstrbq_p_s8(to, vldrbq_z_s8(from, left), left);
        to += 16;
        from += 16;
    }
}

// `values` repeated.
inline void fill_vectors(int8_t* to, int8x16_t values, int32_t count) {
    for (; count > 0; count -= 16) {
        vstrbq_p_s8(to, values, vctp8q(static_cast<uint32_t>(count)));
        to += 16;
    }
}

inline void fill_bytes(int8_t* to, int8_t value, int32_t count) {
    fill_vectors(to, vdupq_n_s8(value), count);
}

}  // namespace mcu::kernels::mve
