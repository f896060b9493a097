// Sums of four rows of weights over one row of int8 on Armv6-M.

#pragma once

#include <cstdint>

namespace mcu::kernels::thumb {

// Operands of four sums, and where those go.
union FourRows {
    struct {
        int32_t first;       // minus the number of inputs
        const int8_t* ends;  // of the input, and of four rows of weights
        const int8_t* rows[4];
    } in;
    int32_t sums[4];
};

// One input of four outputs: 14 instructions for 4 products.
#define THUMB_OUTPUT(row, sum) "ldrsb r7, [" row ", r1]\nmuls r7, r0\nadd " sum ", r7\n"
#define THUMB_INPUT                                                                                    \
    "ldrsb r0, [r2, r1]\n" THUMB_OUTPUT("r3", "r8") THUMB_OUTPUT("r4", "r9") THUMB_OUTPUT("r5", "r10") \
        THUMB_OUTPUT("r6", "r11") "adds r1, r1, #1\n"

// Sums over a multiple of eight inputs. It takes all eight low registers, of which no compiler gives the
// last.
[[gnu::naked, gnu::noinline]] inline void four_sums(FourRows*) {
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, r5, r6, r7, lr}\nmov r4, r8\nmov r5, r9\nmov r6, r10\nmov r7, r11\n"
        "push {r4, r5, r6, r7}\nmov r12, r0\nldm r0!, {r1, r2, r3, r4, r5, r6}\n"
        "movs r7, #0\nmov r8, r7\nmov r9, r7\nmov r10, r7\nmov r11, r7\n"
        "1:\n" THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT
        "bne 1b\n"
        "mov r0, r12\nmov r1, r8\nmov r2, r9\nmov r3, r10\nmov r4, r11\nstm r0!, {r1, r2, r3, r4}\n"
        "pop {r4, r5, r6, r7}\nmov r8, r4\nmov r9, r5\nmov r10, r6\nmov r11, r7\npop {r4, r5, r6, r7, pc}\n");
}

}  // namespace mcu::kernels::thumb
