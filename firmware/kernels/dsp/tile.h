// What the kernels with the tile of mcu/kernels/dsp_conv2d.h share: what fills its im2col buffer, and sums of
// any size.

#pragma once

#include "mcu/kernels/dsp_conv2d.h"
#include "requantize.h"

namespace mcu::kernels::dsp {

// A core's tile: `slots` is the im2col buffer, `packed` the weights of params.words words.
inline DspTile tile_of(const DspTileParams& params, const int32_t* packed, const int32_t* slots) {
    return {packed - 1,   slots - 1, slots + 4 * params.groups - 1,
            nullptr,      nullptr,   packed + params.words - 1,
            params.bounds};
}

// 496 products of int8 make less than 2^23.
constexpr int32_t kGroupsOfPart = 124;

// Words of a pair's two scales and two channel numbers in `packed`.
constexpr int32_t kPairEnd = 10;

// All channels of the two pixels at `out0` and `out1`, of sums of any size: the products come in parts whose
// sums of a can be separated from those of b. 18 instructions for 16 products.
template <Form kForm>
__attribute__((noinline)) inline void two_pixels_long(const DspTileParams& params, const int32_t* im2col,
                                                      const int32_t* packed, int8_t* out0, int8_t* out1) {
    struct Sums {
        int32_t b;
        int32_t a;
    };
    const auto store = [&params](const Sums& sums, const DspScale* scales, const int32_t* numbers,
                                 int8_t* out) {
        out[numbers[1]] = requantize<kForm>(doubled(sums.a, scales[1]), scales[1], params.bounds);
        out[numbers[0]] = requantize<kForm>(doubled(sums.b, scales[0]), scales[0], params.bounds);
    };
    const int32_t* const packed_end = packed + params.words;
    while (packed != packed_end) {
        Sums first = {0, 0}, second = {0, 0};
        const int32_t* x = im2col;
        for (int32_t left = params.groups; left > 0; left -= kGroupsOfPart) {
            Sums part0 = {0, 0}, part1 = {0, 0};
            const int32_t* const end = x + 4 * (left < kGroupsOfPart ? left : kGroupsOfPart);
            for (; x != end; x += 4, packed += 2) {
                const int32_t low0 = even_bytes(packed[0]), low1 = even_bytes(packed[1]);
                part0.b = multiply_add(x[2], low1, multiply_add(x[0], low0, part0.b));
                part0.a = multiply_add(x[2], packed[1], multiply_add(x[0], packed[0], part0.a));
                part1.b = multiply_add(x[3], low1, multiply_add(x[1], low0, part1.b));
                part1.a = multiply_add(x[3], packed[1], multiply_add(x[1], packed[0], part1.a));
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

// Where one pixel's window goes in the im2col buffer: every other word.
using Slot = int32_t*;

inline Slot put(int32_t word, Slot slot) {
    slot[0] = even_bytes(word);
    slot[2] = odd_bytes(word);
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
