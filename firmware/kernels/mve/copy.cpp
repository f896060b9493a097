#include "mcu/kernels/copy.h"

#include <arm_mve.h>

namespace mcu::kernels {

void copy(const CopyParams& params, const void* input, void* output) {
    const auto* from = static_cast<const int8_t*>(input);
    auto* to = static_cast<int8_t*>(output);
    int32_t left = params.bytes;
    if (to <= from) {
        for (; left > 0; left -= 16) {
            const mve_pred16_t some = vctp8q(static_cast<uint32_t>(left));
            vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
            from += 16;
            to += 16;
        }
        return;
    }
    // From the end, so that what is shared is read before it is written.
    for (; left >= 16; left -= 16) {
        vstrbq_s8(to + left - 16, vldrbq_s8(from + left - 16));
    }
    const mve_pred16_t some = vctp8q(static_cast<uint32_t>(left));
    vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
}

}  // namespace mcu::kernels
