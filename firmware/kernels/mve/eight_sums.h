// The sums of eight rows of weights over one vector of values, for functions that are all assembly: linear
// layers and recurrent ones. 19 instructions for 128 products of int8, or for 64 of int16 and int8.
//
//   r0 r2 r4 r6 r8 r10 r12 lr  the sums, to which products are added
//   r1 values  r11 how many  r3 weights [vectors][8][16], of int16 [vectors][8][8], zeros behind the last
//   q6, q7, p0, r1 and r11 are changed, r3 is behind the weights; labels 6, 7 and 9

#pragma once

#define MVE_SUMS "{r0, r2, r4, r6, r8, r10, r12, lr}"
#define MVE_SUMS_AS_VECTORS "vmov d12, r0, r2\n vmov d13, r4, r6\n vmov d14, r8, r10\n vmov d15, r12, lr\n"

#define MVE_EIGHT_PRODUCTS(of) of(r0) of(r2) of(r4) of(r6) of(r8) of(r10) of(r12) of(lr)
#define MVE_PRODUCT_S8(sum) "vldrw.u32 q7, [r3], #16\n vmladava.s8 " #sum ", q6, q7\n"
#define MVE_PRODUCT_S16(sum) "vldrb.s16 q7, [r3], #8\n vmladava.s16 " #sum ", q6, q7\n"
#define MVE_EIGHT_SUMS(lanes, element, type, bits, product)                                        \
    "subs r11, #" lanes                                                                            \
    "\n blo 7f\n"                                                                                  \
    "6: vldr" element type                                                                         \
    " q6, [r1], #16\n" MVE_EIGHT_PRODUCTS(product) "subs r11, #" lanes                             \
                                                   "\n bhs 6b\n"                                   \
                                                   "7: adds r11, #" lanes "\n beq 9f\n vctp." bits \
                                                   " r11\n vpst\n vldr" element "t" type           \
                                                   " q6, [r1]\n" MVE_EIGHT_PRODUCTS(product) "9:\n"
#define MVE_EIGHT_SUMS_S8 MVE_EIGHT_SUMS("16", "b", ".u8", "8", MVE_PRODUCT_S8)
#define MVE_EIGHT_SUMS_S16 MVE_EIGHT_SUMS("8", "h", ".u16", "16", MVE_PRODUCT_S16)
