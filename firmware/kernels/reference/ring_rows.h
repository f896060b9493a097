// gather_ring.h with a core's own copy of a row.

#pragma once

#include "mcu/kernels/gather_ring.h"

namespace mcu::kernels {

template <typename CopyRow>
inline void gather_ring_by(CopyRow copy_row, const GatherRingParams& params, const void* input, void* output,
                           void* ring, int32_t* start) {
    // An application may have written any bytes to the state.
    const int32_t first = static_cast<uint32_t>(*start) < static_cast<uint32_t>(params.size) ? *start : 0;
    const auto at = [&](int32_t offset) {
        const int32_t place = first + offset;
        return static_cast<int8_t*>(ring) + (place < params.size ? place : place - params.size);
    };
    copy_row(at(params.past), static_cast<const int8_t*>(input), params.bytes);
    auto* to = static_cast<int8_t*>(output);
    int32_t from = 0;
    for (int32_t row = 0; row < params.rows; ++row) {
        copy_row(to, at(from), params.bytes);
        to += params.bytes;
        from += params.stride;
    }
    const int32_t next = first + params.bytes;
    *start = next < params.size ? next : 0;
}

}  // namespace mcu::kernels
