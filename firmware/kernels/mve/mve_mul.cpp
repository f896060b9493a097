#include "mcu/kernels/mve_mul.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;

// The innermost line of the walk. Assembly because clang 19 loses the zero point in a predicated last pass,
// and gcc 12 makes no tail-predicated loop. An operand that is repeated is gathered from its one place. vrshl
// rounds ties upwards, so what is negative has one taken away, where there is a shift. Not
// inlined: gcc would have too few registers.
__attribute__((noinline)) void line(const MulParams& params, const int8_t* first, const int8_t* second,
                                    int8_t* output) {
    const uint32x4_t lanes = vidupq_n_u32(0, 1);
    const uint32x4_t first_places = vmulq_n_u32(lanes, static_cast<uint32_t>(params.walk.first[5]));
    const uint32x4_t second_places = vmulq_n_u32(lanes, static_cast<uint32_t>(params.walk.second[5]));
    const int32x4_t left = vdupq_n_s32(params.shift > 0 ? params.shift : 0);
    const int32x4_t right = vdupq_n_s32(params.shift < 0 ? params.shift : 0);
    const int32_t first_step = kLanes * params.walk.first[5];
    const int32_t second_step = kLanes * params.walk.second[5];
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
        : [count] "r"(params.walk.shape[5]), [first_zero] "r"(params.first_zero_point),
          [second_zero] "r"(params.second_zero_point), [multiplier] "r"(params.multiplier),
          [zero_point] "r"(params.stage.zero_point), [first_step] "r"(first_step),
          [second_step] "r"(second_step), [first_places] "w"(first_places),
          [second_places] "w"(second_places), [left] "w"(left), [right] "w"(right)
        : "q0", "q1", "lr", "memory");
}

}  // namespace

void mve_mul_s8(const MulParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    for_each_line(params.walk, first, second, output,
                  [&params](const int8_t* a, const int8_t* b, int8_t* to) { line(params, a, b, to); });
}

}  // namespace mcu::kernels
