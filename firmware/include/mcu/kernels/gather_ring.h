// A dilated window of a stream whose past is a ring: the new sample takes the place of what is no longer
// read, and rows at equal distances are brought one behind the other.
//
//   ring[(start + past) % size ...] = input
//   output[row * bytes + i] = ring[(start + row * stride) % size + i]
//   start = (start + bytes) % size
//
// All are bytes; a sample has as many as a row. Exact: bytes are copied.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct GatherRingParams {
    int32_t rows;
    int32_t bytes;
    int32_t stride;
    int32_t past;
    int32_t size;  // past + bytes
};

void gather_ring(const GatherRingParams& params, const void* input, void* output, void* ring, int32_t* start);

}  // namespace mcu::kernels
