#include "mcu/kernels/gather_ring.h"

#include "../reference/ring_rows.h"
#include "copy_vectors.h"

namespace mcu::kernels {

void gather_ring(const GatherRingParams& params, const void* input, void* output, void* ring,
                 int32_t* start) {
    gather_ring_by(mve::copy_bytes, params, input, output, ring, start);
}

}  // namespace mcu::kernels
