// The tile of mcu/kernels/dsp_conv2d.h: two pixels of the output by two channels, and what fills its patch.

#pragma once

#include "mcu/kernels/dsp_conv2d.h"
#include "rescale.h"

namespace mcu::kernels::dsp {

// One group of four products in every sum of the tile: 16 instructions for 16 products, 16.75 with the loop.
// On a Cortex-M4 six loads in a row take 7 cycles, one of four registers and one of two 8. A Cortex-M33 takes
// a cycle a register in any form: there 12 instructions.
#if defined(__ARM_ARCH_8M_MAIN__)
#define DSP_LOAD "ldm %[x]!, {r0, r1, r2, r3}\nldrd %[u], %[v], [%[w]], #8\n"
#else
#define DSP_LOAD                                                                         \
    "ldr r1, [%[x], #4]\nldr r2, [%[x], #8]\nldr r3, [%[x], #12]\nldr r0, [%[x]], #16\n" \
    "ldr %[v], [%[w], #4]\nldr %[u], [%[w]], #8\n"
#endif
#define DSP_HALF(multiply, weights, pixel0, pixel1, b0, a0, b1, a1)                                        \
    "sxtb16 %[t], %[" weights "]\n" multiply " %[b0], " pixel0 ", %[t]" b0 "\n" multiply " %[a0], " pixel0 \
    ", %[" weights "]" a0 "\n" multiply " %[b1], " pixel1 ", %[t]" b1 "\n" multiply " %[a1], " pixel1      \
    ", %[" weights "]" a1 "\n"
#define DSP_ONTO(weights, pixel0, pixel1) \
    DSP_HALF("smlad", weights, pixel0, pixel1, ", %[b0]", ", %[a0]", ", %[b1]", ", %[a1]")
#define DSP_FIRST DSP_LOAD DSP_HALF("smuad", "u", "r0", "r2", "", "", "", "") DSP_ONTO("v", "r1", "r3")
#define DSP_NEXT DSP_LOAD DSP_ONTO("u", "r0", "r2") DSP_ONTO("v", "r1", "r3")
// The last group of a turn, which leaves in the flags whether there is another turn.
#define DSP_LAST \
    DSP_LOAD "ldr %[t], [sp, #4]\ncmp %[x], %[t]\n" DSP_ONTO("u", "r0", "r2") DSP_ONTO("v", "r1", "r3")

// The sums doubled, with their bias, then rescaled and clamped: 26 instructions for four outputs (relu). From
// C++ clang 19 takes 61 with the loop around them, against 34, for it spills.
#define DSP_DOUBLED(sum, shift) "add " sum ", r0, " sum ", " shift "\n"
#define DSP_HIGH_RELU(sum) "smmlar " sum ", " sum ", r1, r2\nasr " sum ", " sum ", r3\n"
#define DSP_HIGH_TIES(sum) \
    "add %[t], r2, " sum ", asr #31\nsmmlar " sum ", " sum ", r1, %[t]\nasr " sum ", " sum ", r3\n"
#define DSP_SATURATED(sum) "ssat " sum ", #8, " sum "\n"
#define DSP_CLAMPED(sum) \
    "cmp " sum ", %[u]\nit lt\nmovlt " sum ", %[u]\ncmp " sum ", %[v]\nit gt\nmovgt " sum ", %[v]\n"
#define DSP_FINISH(high, clamp)                                                                      \
    "ldm %[w]!, {r0, r1, r2, r3}\nsub %[a0], %[a0], %[b0]\nsub %[a1], %[a1], %[b1]\n" DSP_DOUBLED(   \
        "%[b0]", "lsl #1") DSP_DOUBLED("%[b1]", "lsl #1") high("%[b0]") high("%[b1]") clamp("%[b0]") \
        clamp("%[b1]") "ldm %[w]!, {r0, r1, r2, r3}\n" DSP_DOUBLED("%[a0]", "asr #7")                \
            DSP_DOUBLED("%[a1]", "asr #7") high("%[a0]") high("%[a1]") clamp("%[a0]") clamp("%[a1]")

// The arguments of a tile, copied to the stack: its registers are all thirteen that clang has to give. Pixel
// 1 is stored first: where it is pixel 0, the right one stays. Channel b last, for a pair without an a.
#define DSP_TILES(first, next, bounds, finish)                                                             \
    __asm__ volatile(                                                                                      \
        "ldrd %[u], %[v], [%[x], #24]\nstrd %[u], %[v], [sp, #-8]!\n"                                      \
        "ldrd %[u], %[v], [%[x], #16]\nstrd %[u], %[v], [sp, #-8]!\n"                                      \
        "ldm %[x], {r0, r1, r2, r3}\npush {r0, r1, r2, r3}\n"                                              \
        "1:\nldr %[x], [sp]\n" first                                                                       \
        "beq 3f\n"                                                                                         \
        "2:\n" next                                                                                        \
        "bne 2b\n"                                                                                         \
        "3:\n" bounds finish                                                                               \
        "ldr r0, [sp, #8]\nldr r1, [sp, #12]\nldr %[t], [sp, #16]\n"                                       \
        "ldr %[v], [%[w], #4]\nldr %[u], [%[w]], #8\n"                                                     \
        "strb %[a1], [r1, %[v]]\nstrb %[b1], [r1, %[u]]\n"                                                 \
        "strb %[a0], [r0, %[v]]\nstrb %[b0], [r0, %[u]]\n"                                                 \
        "cmp %[w], %[t]\nbne.w 1b\nadd sp, #32\n"                                                          \
        : [b0] "=&r"(b0), [a0] "=&r"(a0), [b1] "=&r"(b1), [a1] "=&r"(a1), [x] "+&r"(x), [w] "+&r"(packed), \
          [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t)                                                         \
        :                                                                                                  \
        : "r0", "r1", "r2", "r3", "cc", "memory")

// In the order of the assembly.
struct TileArguments {
    const int32_t* patch;
    const int32_t* patch_end;
    int8_t* out0;
    int8_t* out1;
    const int32_t* packed_end;
    int32_t unused;
    DspBounds bounds;
};

// Words of a pair's two scales and two channel numbers in `packed`.
constexpr int32_t kPairEnd = 10;

// 496 products of int8 make less than 2^23.
constexpr int32_t kGroupsOfPart = 124;

// All channels of the two pixels at `out0` and `out1`, which are one pixel where one is left.
template <Form kForm, int kUnroll>
__attribute__((noinline)) inline void two_pixels(const DspTileParams& params, const int32_t* patch,
                                                 const int32_t* packed, int8_t* out0, int8_t* out1) {
    const int32_t* const packed_end = packed + params.pairs * (2 * params.groups + kPairEnd);
    const TileArguments arguments = {patch,        patch + 4 * params.groups, out0, out1, packed_end, 0,
                                     params.bounds};
    const TileArguments* x = &arguments;
    int32_t b0, a0, b1, a1, u, v, t;
#define DSP_TILES_OF(bounds, finish)                                                                 \
    if constexpr (kUnroll == 2) {                                                                    \
        DSP_TILES(DSP_FIRST DSP_LAST, DSP_NEXT DSP_LAST, bounds, finish);                            \
    } else {                                                                                         \
        DSP_TILES(DSP_FIRST DSP_NEXT DSP_NEXT DSP_LAST, DSP_NEXT DSP_NEXT DSP_NEXT DSP_LAST, bounds, \
                  finish);                                                                           \
    }
    if constexpr (kForm == Form::kRelu) {
        DSP_TILES_OF("", DSP_FINISH(DSP_HIGH_RELU, DSP_SATURATED));
    } else if constexpr (kForm == Form::kTies) {
        DSP_TILES_OF("", DSP_FINISH(DSP_HIGH_TIES, DSP_SATURATED));
    } else {
        DSP_TILES_OF("ldrd %[u], %[v], [sp, #24]\n", DSP_FINISH(DSP_HIGH_TIES, DSP_CLAMPED));
    }
}

// The same for sums of any size: the products come in parts whose sums of a can be told from those of b.
// 18 instructions for 16 products.
template <Form kForm>
__attribute__((noinline)) inline void two_pixels_long(const DspTileParams& params, const int32_t* patch,
                                                      const int32_t* packed, int8_t* out0, int8_t* out1) {
    struct Sums {
        int32_t b;
        int32_t a;
    };
    const auto store = [&params](const Sums& sums, const DspScale* scales, const int32_t* numbers,
                                 int8_t* out) {
        out[numbers[1]] = rescale<kForm>(doubled(sums.a, scales[1]), scales[1], params.bounds);
        out[numbers[0]] = rescale<kForm>(doubled(sums.b, scales[0]), scales[0], params.bounds);
    };
    for (int32_t pairs = params.pairs; pairs > 0; --pairs) {
        Sums first = {0, 0}, second = {0, 0};
        const int32_t* x = patch;
        for (int32_t left = params.groups; left > 0; left -= kGroupsOfPart) {
            Sums part0 = {0, 0}, part1 = {0, 0};
            const int32_t* const end = x + 4 * (left < kGroupsOfPart ? left : kGroupsOfPart);
            for (; x != end; x += 4, packed += 2) {
                const int32_t low0 = even_bytes(packed[0]), low1 = even_bytes(packed[1]);
                part0.b = multiply_add(x[1], low1, multiply_add(x[0], low0, part0.b));
                part0.a = multiply_add(x[1], packed[1], multiply_add(x[0], packed[0], part0.a));
                part1.b = multiply_add(x[3], low1, multiply_add(x[2], low0, part1.b));
                part1.a = multiply_add(x[3], packed[1], multiply_add(x[2], packed[0], part1.a));
            }
            first = {first.b + part0.b, first.a + high_sum(part0.a, part0.b)};
            second = {second.b + part1.b, second.a + high_sum(part1.a, part1.b)};
        }
        const auto* const scales = reinterpret_cast<const DspScale*>(packed);
        store(second, scales, packed + kPairEnd - 2, out1);
        store(first, scales, packed + kPairEnd - 2, out0);
        packed += kPairEnd;
    }
}

// Where one pixel's window goes in the patch: two words of every four.
using Slot = int32_t*;

inline Slot put(int32_t word, Slot slot) {
    slot[0] = even_bytes(word);
    slot[1] = odd_bytes(word);
    return slot + 4;
}

inline Slot widen_words(const int8_t* from, int32_t words, Slot slot) {
    for (; words >= 4; words -= 4, from += 16) {
        // On a Cortex-M4 four loads in a row take 5 cycles, by themselves behind a store 12.
        int32_t a, b, c, d;
        __asm__("ldr %0, [%4]\nldr %1, [%4, #4]\nldr %2, [%4, #8]\nldr %3, [%4, #12]\n"
                : "=&r"(a), "=&r"(b), "=&r"(c), "=r"(d)
                : "r"(from), "m"(*reinterpret_cast<const int8_t(*)[16]>(from)));
        slot = put(d, put(c, put(b, put(a, slot))));
    }
    for (; words > 0; --words, from += 4) {
        slot = put(load_word(from), slot);
    }
    return slot;
}

__attribute__((noinline)) inline int8_t* fill_bytes(int32_t count, int8_t byte, int8_t* to) {
#pragma GCC unroll 1
    for (; count > 0; --count) {
        *to++ = byte;
    }
    return to;
}

// By words, the last of which may overlap the one before it.
inline int8_t* copy_bytes(const int8_t* from, int32_t count, int8_t* to) {
    if (count < 4) {
        for (; count > 0; --count) {
            *to++ = *from++;
        }
        return to;
    }
    int32_t done = 0;
    for (; done <= count - 4; done += 4) {
        store_word(load_word(from + done), to + done);
    }
    if (done != count) {
        store_word(load_word(from + count - 4), to + count - 4);
    }
    return to + count;
}

}  // namespace mcu::kernels::dsp

#undef DSP_HALF
#undef DSP_LOAD
#undef DSP_ONTO
#undef DSP_FIRST
#undef DSP_NEXT
#undef DSP_LAST
#undef DSP_DOUBLED
#undef DSP_HIGH_RELU
#undef DSP_HIGH_TIES
#undef DSP_SATURATED
#undef DSP_CLAMPED
#undef DSP_FINISH
#undef DSP_TILES
#undef DSP_TILES_OF
