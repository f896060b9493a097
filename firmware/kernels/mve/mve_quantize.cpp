#include "mcu/kernels/mve_quantize.h"

#include <arm_mve.h>

#include "mcu/kernels/bits.h"

namespace mcu::kernels {

// Vectors of floats flush denormals to zero, which scales within 2^100 of one never meet here. The compiler
// is not to use them elsewhere (mve.fp is switched off), so the assembler needs a directive.
//
// Assembly because gcc 12 makes no tail-predicated loop: 16 instructions for four elements from intrinsics.
void mve_quantize_f32_s8(const QuantizeParams& params, const float* input, int8_t* output) {
    const auto zero_point = static_cast<float>(params.zero_point);
    const uint32x4_t low = vdupq_n_u32(bit_cast<uint32_t>(static_cast<float>(params.quant_min)));
    const uint32x4_t high = vdupq_n_u32(bit_cast<uint32_t>(static_cast<float>(params.quant_max)));
    // The maximum of a number and a NaN is the number.
    __asm__ volatile(
        ".arch_extension mve.fp\n wlstp.32 lr, %[count], 2f\n 1:\n"
        "vldrw.u32 q0, [%[input]], #16\n vmul.f32 q0, q0, %[inverse_scale]\n vrintn.f32 q0, q0\n"
        "vadd.f32 q0, q0, %[zero_point]\n vmaxnm.f32 q0, q0, %q[low]\n vminnm.f32 q0, q0, %q[high]\n"
        "vcvt.s32.f32 q0, q0\n vstrb.32 q0, [%[output]], #4\n"
        "letp lr, 1b\n 2:\n"
        : [input] "+l"(input), [output] "+l"(output)
        : [count] "r"(params.count), [inverse_scale] "r"(params.inverse_scale), [zero_point] "r"(zero_point),
          [low] "w"(low), [high] "w"(high)
        : "q0", "lr", "memory");
}

void mve_dequantize_s8_f32(const DequantizeParams& params, const int8_t* input, float* output) {
    __asm__ volatile(
        ".arch_extension mve.fp\n wlstp.32 lr, %[count], 2f\n 1:\n"
        "vldrb.s32 q0, [%[input]], #4\n vsub.i32 q0, q0, %[zero_point]\n vcvt.f32.s32 q0, q0\n"
        "vmul.f32 q0, q0, %[scale]\n vstrw.32 q0, [%[output]], #16\n"
        "letp lr, 1b\n 2:\n"
        : [input] "+l"(input), [output] "+l"(output)
        : [count] "r"(params.count), [scale] "r"(params.scale), [zero_point] "r"(params.zero_point)
        : "q0", "lr", "memory");
}

}  // namespace mcu::kernels
