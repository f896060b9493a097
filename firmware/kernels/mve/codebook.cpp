// Codes are looked up sixteen at a time by a gathering load; sums with VMLADAV, and those of the weights,
// which the input's offset multiplies, with VADDV: four instructions for 16 products.

#include "mcu/kernels/codebook.h"

#include <arm_mve.h>

#include "mcu/kernels/codebook_layers.h"

namespace mcu::kernels {
namespace {

struct Helium {
    static void decode(const uint8_t* codes, const int8_t* table, int32_t count, int8_t* decoded) {
        // A byte has two codes: each goes into a byte of a halfword.
        for (int32_t left = (count + 1) / 2; left > 0; left -= 8) {
            const uint16x8_t pairs = vldrbq_z_u16(codes, vctp16q(static_cast<uint32_t>(left)));
            const uint16x8_t apart = vandq_u16(vorrq_u16(pairs, vshlq_n_u16(pairs, 4)), vdupq_n_u16(0x0F0F));
            vstrbq_s8(decoded, vldrbq_gather_offset_s8(table, vreinterpretq_u8_u16(apart)));
            codes += 8;
            decoded += 16;
        }
    }

    static int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
        int32_t sum = 0;
        int32_t total = 0;
        for (int32_t left = count; left > 0; left -= 16) {
            const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(left));
            const int8x16_t w = vldrbq_z_s8(weights, inside);
            sum = vmladavaq_s8(sum, vldrbq_z_s8(input, inside), w);
            total = vaddvaq_s8(total, w);
            input += 16;
            weights += 16;
        }
        return sum + input_offset * total;
    }
};

}  // namespace

MCU_CODEBOOK(Helium)

}  // namespace mcu::kernels
