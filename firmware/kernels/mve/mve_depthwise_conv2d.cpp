#include "mcu/kernels/mve_depthwise_conv2d.h"

#include <arm_mve.h>

#include <cstddef>

#include "copy_vectors.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 16;           // channels
constexpr int32_t kColumn = 4 * kBlock;  // bytes
constexpr int32_t kRecord = 9;           // words of a channel

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

// How the outputs of a channel in a row, or two, are walked.
struct Walk {
    int32_t steps;      // whole vectors of outputs
    int32_t rest;       // columns in a last, partial one
    int32_t pitch;      // bytes from the outputs of a step to those of the next
    int32_t next;       // from the last columns of a channel to the first of the next
    int32x4_t offsets;  // of a step's outputs
    int32_t low;
    int32_t high;
};

// Assembly because all eight vector registers are in use.
#define MVE_SCALES \
    "ldrd %[bias], %[multiplier], [%[record], #20]\n ldrd %[addend], %[record], [%[record], #28]\n"
#define MVE_SUM(sum, weights) "vmladav.s8 %[" #sum "], q0, " #weights "\n"
#define MVE_RESCALE                                                   \
    "vmov q1[2], q1[0], %[a], %[c]\n vmov q1[3], q1[1], %[b], %[d]\n" \
    "vadd.i32 q1, q1, %[bias]\n vqrdmulh.s32 q1, q1, %[multiplier]\n"
#define MVE_SHIFT "vadd.i32 q1, q1, %[addend]\n vqshl.s32 q1, %[record]\n vshr.s32 q1, q1, #24\n"
// Where the zero point is below the low clamp, ties do not show: both forms are clamped.
#define MVE_ADJUSTED                                                                                        \
    "vshr.s32 q0, q1, #31\n vadd.i32 q1, q1, q0\n" MVE_SHIFT                                                \
    "ldr %[a], [%[walk], #%c[low]]\n ldr %[b], [%[walk], #%c[high]]\n vdup.32 q0, %[a]\n vmax.s32 q1, q1, " \
    "q0\n"                                                                                                  \
    "vdup.32 q0, %[b]\n vmin.s32 q1, q1, q0\n"
// The shift takes the record's register.
#define MVE_OPERANDS                                                                       \
    : [record] "+r"(record), [out] "+r"(out), [at] "+w"(at), [a] "=&Te"(a), [b] "=&Te"(b),         \
      [c] "=&Te"(c), [d] "=&Te"(d), [bias] "=&r"(bias), [multiplier] "=&r"(multiplier),           \
      [addend] "=&r"(addend)                                                                      \
    : [pitch] "r"(walk.pitch), [offsets] "w"(walk.offsets), [walk] "r"(&walk),                    \
      [steps] "i"(offsetof(Walk, steps)), [rest] "i"(offsetof(Walk, rest)),                       \
      [low] "i"(offsetof(Walk, low)), [high] "i"(offsetof(Walk, high))                            \
    : "q0", "q1", "q3", "q4", "q5", "q6", "lr", "cc", "memory"

// One channel of 2x2 outputs a step; the last column of an odd number is computed with the one before it,
// once more. With kRows 1 the lower row is the upper one again.
template <int kRows, bool kPlain>
MCU_INLINE int32x4_t rows_of_channel(const Walk& walk, int32x4_t at, const int32_t* record, int8_t* out) {
    int32_t a, b, c, d, bias, multiplier, addend;
#define MVE_STEP(further, shifted)                                                                         \
    "vldrw.u32 q0, [%q[at], #" #further "]!\n" MVE_SUM(a, q3) MVE_SUM(b, q4) MVE_SUM(c, q5) MVE_SUM(d, q6) \
        MVE_RESCALE shifted "vstrb.32 q1, [%[out], %q[offsets]]\n add %[out], %[pitch]\n"
#define MVE_CHANNEL(lower, shifted) \
    __asm__ volatile("ldr %[a], [%[walk], #%c[steps]]\n vldrw.u32 q3, [%[record], #4]\n dls lr, %[a]\n"            \
                     "vldrw.u32 q4, [%[record]]\n" lower MVE_SCALES "1:\n" MVE_STEP(128, shifted)     \
                     "le lr, 1b\n ldr %[a], [%[walk], #%c[rest]]\n cmp %[a], #0\n beq 2f\n"                        \
                     "sub %[out], %[out], %[pitch], lsr #1\n" MVE_STEP(64, shifted) "2:\n" MVE_OPERANDS)
#define MVE_TWO_ROWS "vshl.i32 q5, q3, #8\n vshl.i32 q6, q4, #8\n"
#define MVE_ONE_ROW "vmov q5, q3\n vmov q6, q4\n"
    if constexpr (kRows == 2 && kPlain) {
        MVE_CHANNEL(MVE_TWO_ROWS, MVE_SHIFT);
    } else if constexpr (kRows == 2) {
        MVE_CHANNEL(MVE_TWO_ROWS, MVE_ADJUSTED);
    } else if constexpr (kPlain) {
        MVE_CHANNEL(MVE_ONE_ROW, MVE_SHIFT);
    } else {
        MVE_CHANNEL(MVE_ONE_ROW, MVE_ADJUSTED);
    }
#undef MVE_ONE_ROW
#undef MVE_TWO_ROWS
#undef MVE_CHANNEL
#undef MVE_STEP
    return at;
}

// One channel of four outputs in a row a step, two columns apart.
template <bool kPlain>
MCU_INLINE int32x4_t row_of_channel(const Walk& walk, int32x4_t at, const int32_t* record, int8_t* out) {
    int32_t a, b, c, d, bias, multiplier, addend;
#define MVE_PATCH(sum) "vldrw.u32 q0, [%q[at], #128]!\n" MVE_SUM(sum, q3)
#define MVE_STEP(shifted, predicated, t) \
    MVE_PATCH(a)                         \
    MVE_PATCH(b)                         \
    MVE_PATCH(c)                         \
    MVE_PATCH(d)                         \
    MVE_RESCALE shifted predicated "vstrb" t ".32 q1, [%[out], %q[offsets]]\n add %[out], %[pitch]\n"
#define MVE_CHANNEL(shifted) \
    __asm__ volatile("ldr %[a], [%[walk], #%c[steps]]\n vldrw.u32 q3, [%[record], #4]\n" MVE_SCALES                 \
                     "wls lr, %[a], 2f\n 1:\n" MVE_STEP(shifted, "", "") "le lr, 1b\n"                \
                     "2: ldr %[a], [%[walk], #%c[rest]]\n cmp %[a], #0\n beq 3f\n"                                  \
                     MVE_STEP(shifted, "ldr %[a], [%[walk], #%c[rest]]\n vctp.32 %[a]\n vpst\n", "t") "3:\n" MVE_OPERANDS)
    if constexpr (kPlain) {
        MVE_CHANNEL(MVE_SHIFT);
    } else {
        MVE_CHANNEL(MVE_ADJUSTED);
    }
#undef MVE_CHANNEL
#undef MVE_STEP
#undef MVE_PATCH
    return at;
}

// Rows of the image from `y` on, of which `rows` count, into words of four: `channels` from the one at
// `image` on.
void copy_rows(const MveDepthwiseParams& params, const int8_t* image, int32_t y, int32_t rows,
               int32_t channels, int8_t* columns, const int8_t* pad) {
    const int32_t pixel = params.input.channels;
    const int8_t* from[4];
    int32_t step[4];
    for (int32_t r = 0; r < 4; ++r) {
        const bool inside = r < rows && y + r >= 0 && y + r < params.input.height;
        from[r] = inside ? image + (y + r) * params.input.width * pixel : pad;
        step[r] = inside ? pixel : 0;
    }
    const mve_pred16_t left = vctp8q(static_cast<uint32_t>(channels));
    const int8_t *r0 = from[0], *r1 = from[1], *r2 = from[2], *r3 = from[3];
    const int32_t s0 = step[0], s1 = step[1], s2 = step[2], s3 = step[3];
    for (int32_t x = 0; x < params.input.width; ++x) {
        int8x16x4_t words;
        words.val[0] = vldrbq_z_s8(r0, left);
        words.val[1] = vldrbq_z_s8(r1, left);
        words.val[2] = vldrbq_z_s8(r2, left);
        words.val[3] = vldrbq_z_s8(r3, left);
        vst4q_s8(columns, words);
        columns += kColumn;
        r0 += s0;
        r1 += s1;
        r2 += s2;
        r3 += s3;
    }
}

Walk walk_of(const MveDepthwiseParams& params, int32_t rows, int32_t stride) {
    const int32_t pixel = params.input.channels;
    const int32_t width = params.output.x;
    Walk walk;
    walk.low = params.low;
    walk.high = params.high;
    if (stride == 1) {
        const int32_t lower = rows == 2 ? width * pixel : 0;
        walk.steps = width / 2;
        walk.rest = width % 2;
        walk.pitch = 2 * pixel;
        walk.next = 4 - width * kColumn;
        const int32_t offsets[4] = {0, pixel, lower, lower + pixel};
        walk.offsets = vldrwq_s32(offsets);
    } else {
        walk.steps = width / 4;
        walk.rest = width % 4;
        walk.pitch = 4 * pixel;
        walk.next = 4 - (width + 3) / 4 * 8 * kColumn;
        walk.offsets = vmulq_n_s32(vreinterpretq_s32_u32(vidupq_n_u32(0, 1)), pixel);
    }
    return walk;
}

// One channel after the other. A step reads the columns two behind those of the step before.
template <typename Channel>
MCU_INLINE void channels_of(const Walk& walk, int32_t count, const int8_t* columns, const int32_t* records,
                            int8_t* out, const Channel& channel) {
    const uint32x4_t lanes = vmulq_n_u32(vidupq_n_u32(0, 1), kColumn);
    int32x4_t at =
        vreinterpretq_s32_u32(vaddq_n_u32(lanes, reinterpret_cast<uintptr_t>(columns) - 2 * kColumn));
    for (int32_t c = 0; c < count; ++c) {
        at = vaddq_n_s32(channel(walk, at, records, out), walk.next);
        records += kRecord;
        ++out;
    }
}

template <int kStride, typename Rows>
MCU_INLINE void depthwise(const MveDepthwiseParams& params, const int8_t* input, const int32_t* records,
                          int8_t* output, uint8_t* scratch, const Rows& compute) {
    constexpr int32_t kRows = kStride == 1 ? 2 : 1;  // of the output, at once
    const int32_t pixel = params.input.channels;
    const int32_t width = params.output.x;
    const int32_t count = kStride == 1 ? width + 2 : (width + 3) / 4 * 8 + 2;
    auto* columns = reinterpret_cast<int8_t*>(scratch);
    // Columns beside the image, and rows above and below it, stay what they are.
    mve::fill_bytes(columns, static_cast<int8_t>(params.pad_value), count * kColumn + kBlock);
    const int8_t* pad = columns + count * kColumn;
    const Walk full = walk_of(params, kRows, kStride);
    const Walk last = walk_of(params, 1, kStride);
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; oy += kRows) {
            const int32_t rows = smaller(kRows, params.output.y - oy);
            const Walk& walk = rows == kRows ? full : last;
            for (int32_t c = 0; c < pixel; c += kBlock) {
                const int32_t channels = smaller(pixel - c, kBlock);
                copy_rows(params, input + c, oy * kStride - params.padding.y, rows + 2, channels,
                          columns + params.padding.x * kColumn, pad);
                compute(walk, rows, channels, columns, records + c * kRecord, output + c);
            }
            output += rows * width * pixel;
        }
        input += params.input.height * params.input.width * pixel;
    }
}

}  // namespace

void mve_depthwise_3x3_s8(const MveDepthwiseParams& params, const int8_t* input, const int32_t* channels,
                          int8_t* output, uint8_t* columns) {
    depthwise<1>(params, input, channels, output, columns,
                 [&](const Walk& walk, int32_t rows, int32_t count, const int8_t* at, const int32_t* records,
                     int8_t* out) {
                     if (rows == 2 && params.plain) {
                         channels_of(walk, count, at, records, out, rows_of_channel<2, true>);
                     } else if (rows == 2) {
                         channels_of(walk, count, at, records, out, rows_of_channel<2, false>);
                     } else if (params.plain) {
                         channels_of(walk, count, at, records, out, rows_of_channel<1, true>);
                     } else {
                         channels_of(walk, count, at, records, out, rows_of_channel<1, false>);
                     }
                 });
}

void mve_depthwise_3x3_stride_2_s8(const MveDepthwiseParams& params, const int8_t* input,
                                   const int32_t* channels, int8_t* output, uint8_t* columns) {
    depthwise<2>(
        params, input, channels, output, columns,
        [&](const Walk& walk, int32_t, int32_t count, const int8_t* at, const int32_t* records, int8_t* out) {
            if (params.plain) {
                channels_of(walk, count, at, records, out, row_of_channel<true>);
            } else {
                channels_of(walk, count, at, records, out, row_of_channel<false>);
            }
        });
}

}  // namespace mcu::kernels
