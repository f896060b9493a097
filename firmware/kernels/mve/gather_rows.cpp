#include "mcu/kernels/gather_rows.h"

#include "copy_vectors.h"

namespace mcu::kernels {

void gather_rows(const GatherRowsParams& params, const void* input, void* output) {
    const auto* from = static_cast<const int8_t*>(input);
    auto* to = static_cast<int8_t*>(output);
    for (int32_t row = 0; row < params.rows; ++row) {
        mve::copy_bytes(to, from, params.bytes);
        from += params.stride;
        to += params.bytes;
    }
}

}  // namespace mcu::kernels
