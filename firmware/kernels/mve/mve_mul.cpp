#include "mcu/kernels/mve_mul.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;
constexpr int32_t kEight = 8;

// Eights of a line of which both operands are dense, with a shift to the right. A product of halfwords makes
// the even or the odd elements of eight, which narrowing brings into order again. Assembly so that
// instructions of both halves take turns.
__attribute__((noinline)) void eights(const MulParams& params, int32_t count, const int8_t* first,
                                      const int8_t* second, int8_t* output) {
    __asm__ volatile(
        "wls lr, %[count], 2f\n 1:\n"
        "vldrb.s16 q0, [%[first]], #8\n vsub.i16 q0, q0, %[first_zero]\n"
        "vldrb.s16 q1, [%[second]], #8\n vsub.i16 q1, q1, %[second_zero]\n"
        "vmullb.s16 q2, q0, q1\n vmullt.s16 q3, q0, q1\n"
        "vqrdmulh.s32 q2, q2, %[multiplier]\n vqrdmulh.s32 q3, q3, %[multiplier]\n"
        "vshr.s32 q0, q2, #31\n vadd.i32 q2, q2, q0\n vshr.s32 q1, q3, #31\n vadd.i32 q3, q3, q1\n"
        "vrshl.s32 q2, %[right]\n vrshl.s32 q3, %[right]\n vqmovnb.s32 q2, q2\n vqmovnt.s32 q2, q3\n"
        "vqadd.s16 q2, q2, %[zero_point]\n vqmovnb.s16 q2, q2\n vstrb.16 q2, [%[output]], #8\n"
        "le lr, 1b\n 2:\n"
        : [first] "+l"(first), [second] "+l"(second), [output] "+l"(output)
        : [count] "r"(count), [first_zero] "r"(params.first_zero_point),
          [second_zero] "r"(params.second_zero_point), [multiplier] "r"(params.multiplier),
          [right] "r"(params.shift), [zero_point] "r"(params.epilogue.zero_point)
        : "q0", "q1", "q2", "q3", "lr", "memory");
}

// The innermost line of the iteration space. Assembly because clang 19 loses the zero point in a predicated
// last pass, and gcc 12 makes no tail-predicated loop. An operand that is repeated is gathered from its one
// place. vrshl rounds half up, so what is negative has one taken away, where there is a shift. Not
// inlined: gcc would have too few registers.
__attribute__((noinline)) void line(const MulParams& params, int32_t count, const int8_t* first,
                                    const int8_t* second, int8_t* output) {
    const uint32x4_t lanes = vidupq_n_u32(0, 1);
    const uint32x4_t first_places = vmulq_n_u32(lanes, static_cast<uint32_t>(params.space.first[5]));
    const uint32x4_t second_places = vmulq_n_u32(lanes, static_cast<uint32_t>(params.space.second[5]));
    const int32x4_t left = vdupq_n_s32(params.shift > 0 ? params.shift : 0);
    const int32x4_t right = vdupq_n_s32(params.shift < 0 ? params.shift : 0);
    const int32_t first_step = kLanes * params.space.first[5];
    const int32_t second_step = kLanes * params.space.second[5];
    __asm__ volatile(
        "wlstp.32 lr, %[count], 2f\n 1:\n"
        "vldrb.s32 q0, [%[first], %q[first_places]]\n vldrb.s32 q1, [%[second], %q[second_places]]\n"
        "vsub.i32 q0, q0, %[first_zero]\n vsub.i32 q1, q1, %[second_zero]\n vmul.i32 q0, q0, q1\n"
        "vshl.s32 q0, q0, %q[left]\n vqrdmulh.s32 q0, q0, %[multiplier]\n"
        "vand q1, q0, %q[right]\n vshr.s32 q1, q1, #31\n vadd.i32 q0, q0, q1\n vrshl.s32 q0, q0, %q[right]\n"
        "vadd.i32 q0, q0, %[zero_point]\n vqmovnb.s32 q0, q0\n"
        "vqmovnb.s16 q0, q0\n"
        "vstrb.32 q0, [%[output]], #4\n"
        "add %[first], %[first], %[first_step]\n add %[second], %[second], %[second_step]\n"
        "letp lr, 1b\n 2:\n"
        : [first] "+r"(first), [second] "+r"(second), [output] "+l"(output)
        : [count] "r"(count), [first_zero] "r"(params.first_zero_point),
          [second_zero] "r"(params.second_zero_point), [multiplier] "r"(params.multiplier),
          [zero_point] "r"(params.epilogue.zero_point), [first_step] "r"(first_step),
          [second_step] "r"(second_step), [first_places] "w"(first_places),
          [second_places] "w"(second_places), [left] "w"(left), [right] "w"(right)
        : "q0", "q1", "lr", "memory");
}

}  // namespace

void mve_mul_s8(const MulParams& given, const int8_t* first, const int8_t* second, int8_t* output) {
    const MulParams params = given;  // which stores of int8 cannot change
    const bool dense = params.space.first[5] == 1 && params.space.second[5] == 1 && params.shift < 0;
    const int32_t count = params.space.shape[5];
    const int32_t whole = dense ? count / kEight * kEight : 0;
    for_each_line(params.space, first, second, output, [&](const int8_t* a, const int8_t* b, int8_t* to) {
        if (whole > 0) {
            eights(params, whole / kEight, a, b, to);
        }
        if (whole < count) {
            line(params, count - whole, a + whole, b + whole, to + whole);
        }
    });
}

}  // namespace mcu::kernels
