#include "mcu/kernels/gather_ring.h"

#include "lines.h"
#include "ring_rows.h"

namespace mcu::kernels {

void gather_ring(const GatherRingParams& params, const void* input, void* output, void* ring,
                 int32_t* start) {
    gather_ring_by(copy_lines, params, input, output, ring, start);
}

}  // namespace mcu::kernels
