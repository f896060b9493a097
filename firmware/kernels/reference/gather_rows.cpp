#include "mcu/kernels/gather_rows.h"

#include "lines.h"

namespace mcu::kernels {

void gather_rows(const GatherRowsParams& params, const void* input, void* output) {
    const auto* from = static_cast<const int8_t*>(input);
    auto* to = static_cast<int8_t*>(output);
    for (int32_t row = 0; row < params.rows; ++row) {
        copy_lines(to, from, params.bytes);
        from += params.stride;
        to += params.bytes;
    }
}

}  // namespace mcu::kernels
