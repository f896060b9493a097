// Rows of an image as the depthwise kernels want them: the pixels of four rows in one word.

#pragma once

#include <cstdint>

#include "mcu/kernels/image.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels::mve {

// Four input rows, each of which is in the image (mask -1) or one vector of padding (mask 0).
struct Rows {
    const int8_t* from[4];
    int32_t mask[4];
};

// `count` rows from row y on, `apart` rows apart.
inline Rows rows_at(const ImageSize& size, const int8_t* image, int32_t y, int32_t apart, int32_t count,
                    const int8_t* pad) {
    const int32_t pitch = size.width * size.channels;
    Rows rows;
    for (int32_t r = 0; r < 4; ++r) {
        const int32_t at = y + r * apart;
        const bool inside = r < count && at >= 0 && at < size.height;
        rows.from[r] = inside ? image + at * pitch : pad;
        rows.mask[r] = inside ? -1 : 0;
    }
    return rows;
}

// `width` pixels of the rows from byte `first` on, `channels` of each, into words of four. Assembly because
// the compilers predicate every load by itself: 17 instructions a pixel from intrinsics, 14 here. It takes
// nearly all registers, so it is a function of its own.
__attribute__((noinline)) inline void copy_rows(int32_t pixel, const Rows& rows, int32_t first, int32_t width,
                                                int32_t channels, int8_t* columns) {
    // Two of the operands are in memory: for size, gcc 12 has not as many registers.
    const int8_t* r0 = rows.from[0] + (first & rows.mask[0]);
    const int8_t* r1 = rows.from[1] + (first & rows.mask[1]);
    const int8_t* r2 = rows.from[2] + (first & rows.mask[2]);
    const int8_t* r3 = rows.from[3] + (first & rows.mask[3]);
    __asm__ volatile(
        "ldr lr, %[channels]\n vctp.8 lr\n ldr lr, %[width]\n dls lr, lr\n"
        "1: vpstttt\n vldrbt.u8 q0, [%[r0]]\n vldrbt.u8 q1, [%[r1]]\n vldrbt.u8 q2, [%[r2]]\n"
        "vldrbt.u8 q3, [%[r3]]\n"
        "add %[r0], %[r0], %[s0]\n add %[r1], %[r1], %[s1]\n add %[r2], %[r2], %[s2]\n"
        "add %[r3], %[r3], %[s3]\n"
        "vst40.8 {q0, q1, q2, q3}, [%[to]]\n vst41.8 {q0, q1, q2, q3}, [%[to]]\n"
        "vst42.8 {q0, q1, q2, q3}, [%[to]]\n vst43.8 {q0, q1, q2, q3}, [%[to]]!\n"
        "le lr, 1b\n"
        : [r0] "+r"(r0), [r1] "+r"(r1), [r2] "+r"(r2), [r3] "+r"(r3), [to] "+r"(columns)
        : [s0] "r"(pixel & rows.mask[0]), [s1] "r"(pixel & rows.mask[1]), [s2] "r"(pixel & rows.mask[2]),
          [s3] "r"(pixel & rows.mask[3]), [width] "m"(width), [channels] "m"(channels)
        : "q0", "q1", "q2", "q3", "lr", "memory");
}

}  // namespace mcu::kernels::mve
