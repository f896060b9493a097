/* The DMA that copies a model's weights ahead while the layer before runs, in C99 and C++17.

   For boards whose file has [dma]. Both functions have weak definitions, by which the core copies in
   mcu_dma_start: right, and no quicker. Definitions of yours for your chip's DMA go before them.
   The model has one copy under way at a time, never calls them from an interrupt, and looks after the core's
   data cache itself: memory comes in whole lines that hold nothing else. */
#ifndef MCU_DMA_H
#define MCU_DMA_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins to copy `bytes` from `from` to `to`, both multiples of 16, and returns. */
void mcu_dma_start(void* to, const void* from, size_t bytes);

/* Returns when the copy is done, and every byte can be seen in memory; at once where none is under way. */
void mcu_dma_wait(void);

#ifdef __cplusplus
}
#endif

#endif
