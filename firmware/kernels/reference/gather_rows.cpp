#include "mcu/kernels/gather_rows.h"

#include <cstring>

#include "lines.h"

namespace mcu::kernels {

void gather_rows(const GatherRowsParams& params, const void* input, void* output) {
    const auto* from = static_cast<const char*>(input);
    auto* to = static_cast<char*>(output);
    const bool by_lines =
        begins_a_line(from) && begins_a_line(to) && (params.bytes | params.stride) % 16 == 0;
    for (int32_t row = 0; row < params.rows; ++row) {
        if (by_lines) {
            for (int32_t i = 0; i < params.bytes / 16; ++i) {
                reinterpret_cast<Line*>(to)[i] = reinterpret_cast<const Line*>(from)[i];
            }
        } else {
            std::memcpy(to, from, static_cast<std::size_t>(params.bytes));
        }
        from += params.stride;
        to += params.bytes;
    }
}

}  // namespace mcu::kernels
