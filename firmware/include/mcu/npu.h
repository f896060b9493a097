/* What the NPU's driver of an exported model takes from its application, in C99 and C++17.

   One definition alone is needed: the handler of the NPU's interrupt has to call mcu_npu_interrupt(). The
   others have weak definitions with what stands here as the default; a definition of yours goes before it.
   In an application of Zephyr there is none of this: devicetree, interrupts and caches are Zephyr's. */
#ifndef MCU_NPU_H
#define MCU_NPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* To be called from the handler of the NPU's interrupt. Does nothing where the model has no job running. */
void mcu_npu_interrupt(void);

/* Where the NPU's registers are. Default: as on the board that the model was exported for. */
extern const uintptr_t mcu_npu_base;

/* The NPU's interrupt in the NVIC; -1: none, its status is read until it is done. Default: the board's. */
extern const int32_t mcu_npu_irq;

/* The NPU's address of what the core has at `memory`. Default: the same. */
uint64_t mcu_npu_address(const void* memory);

/* Before the NPU runs: it has to see what the core has written, and may write where `written`. Default: lines
   of the core's data cache are written back, and dropped where `written`, if the cache is on. */
void mcu_npu_lend(const void* memory, size_t bytes, int written);

/* After it has run: the core has to see what the NPU has written. Default: lines of the cache are dropped. */
void mcu_npu_take_back(void* memory, size_t bytes);

/* The NPU reports an error: what in words, its register STATUS, the byte of the command stream. It may not
   return. Default: an undefined instruction, which is a fault of the core. */
void mcu_npu_failed(const char* what, uint32_t status, uint32_t byte);

#ifdef __cplusplus
}
#endif

#endif
