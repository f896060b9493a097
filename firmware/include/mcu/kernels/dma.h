// Weights on their way into the arena while other layers run: by the DMA of mcu/dma.h.
//
// The output lies in memory whose cache lines hold nothing else: the core writes to none of them from
// dma_start() to dma_wait(), which come in pairs.

#pragma once

#include <cstdint>

#include "mcu/dma.h"
#include "mcu/kernels/copy.h"

namespace mcu::kernels {

void dma_start(const CopyParams& params, const void* input, void* output);
void dma_wait(const CopyParams& params, void* output);

}  // namespace mcu::kernels
