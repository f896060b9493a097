#include "mcu/kernels/mve_depthwise_conv2d.h"

#include <arm_mve.h>

#include <cstddef>

#include "copy_vectors.h"
#include "depthwise_rows.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 16;           // channels
constexpr int32_t kColumn = 4 * kBlock;  // bytes
constexpr uint32_t kRecord = 36;         // bytes of a channel
constexpr uint32_t kAhead = 8;           // bytes from a channel's shift to the next channel's record

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// How the outputs of a channel in a row, or two, are walked, and which channels: what there is no register
// for.
struct Walk {
    uintptr_t end;  // the last record's shift
    int32_t next;   // from the last columns of a channel to the first of the next
    int32_t back;   // from behind the outputs of a channel to those of the next
    int32_t steps;  // whole vectors of outputs
    int32_t lower;  // factor that moves weights down to the lower row, 1 where there is none
    int32_t rest;   // columns in a last, partial one
    int32_t pitch;  // bytes from the outputs of a step to those of the next
    int32_t low;
    int32_t high;
    int32_t offsets[4];  // of a step's outputs
};

// Assembly because all eight vector registers are in use.
#define MVE_SUM(sum, weights) "vmladav.s8 %[" #sum "], q0, " #weights "\n"
#define MVE_RESCALE                               \
    "vmov d2, %[a], %[b]\n vmov d3, %[c], %[d]\n" \
    "vadd.i32 q1, q1, %[bias]\n vqrdmulh.s32 q1, q1, %[multiplier]\n"
#define MVE_SHIFT "vadd.i32 q1, q1, %[addend]\n vqshl.s32 q1, %[shift]\n vshr.s32 q1, q1, #24\n"
// Where the zero point is below the low clamp, ties do not show: both forms are clamped.
#define MVE_ADJUSTED                                                                                        \
    "vshr.s32 q0, q1, #31\n vadd.i32 q1, q1, q0\n" MVE_SHIFT                                                \
    "ldr %[a], [%[walk], #%c[low]]\n ldr %[b], [%[walk], #%c[high]]\n vdup.32 q0, %[a]\n vmax.s32 q1, q1, " \
    "q0\n"                                                                                                  \
    "vdup.32 q0, %[b]\n vmin.s32 q1, q1, q0\n"
// A record is walked to its shift, which is where the next one's walk begins.
#define MVE_BEGIN                                                                                      \
    "4: ldrd %[bias], %[multiplier], [%[record], #28]!\n ldrd %[addend], %[shift], [%[record], #8]!\n" \
    "ldrd %[a], %[b], [%[walk], #%c[steps]]\n vldrw.u32 q3, [%[record], #-24]\n"
#define MVE_END                                                                        \
    "ldrd %[a], %[b], [%[walk]]\n ldr %[c], [%[walk], #%c[back]]\n add %[out], %[c]\n" \
    "vadd.i32 %q[at], %q[at], %[b]\n cmp %[record], %[a]\n bne 4b\n"
#define MVE_OPERANDS                                                                                     \
    : [record] "+r"(record), [out] "+r"(out), [at] "+w"(at), [a] "=&Te"(a), [b] "=&Te"(b),            \
      [c] "=&Te"(c), [d] "=&Te"(d), [bias] "=&r"(bias), [multiplier] "=&r"(multiplier),              \
      [addend] "=&r"(addend), [shift] "=&r"(shift)                                                   \
    : [pitch] "r"(walk.pitch), [offsets] "w"(vldrwq_s32(walk.offsets)), [walk] "r"(&walk),           \
      [steps] "i"(offsetof(Walk, steps)), [rest] "i"(offsetof(Walk, rest)),                          \
      [low] "i"(offsetof(Walk, low)), [high] "i"(offsetof(Walk, high)), [back] "i"(offsetof(Walk, back)) \
    : "q0", "q1", "q3", "q4", "q5", "q6", "lr", "cc", "memory"

// Channels of 2x2 outputs a step; the last column of an odd number is computed with the one before it,
// once more. Where there is no lower row it is the upper one again.
template <bool kPlain>
MCU_INLINE void rows_of_channels(const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at) {
    int32_t a, b, c, d, bias, multiplier, addend, shift;
#define MVE_STEP(further, shifted)                                                                         \
    "vldrw.u32 q0, [%q[at], #" #further "]!\n" MVE_SUM(a, q3) MVE_SUM(b, q4) MVE_SUM(c, q5) MVE_SUM(d, q6) \
        MVE_RESCALE shifted "vstrb.32 q1, [%[out], %q[offsets]]\n add %[out], %[pitch]\n"
#define MVE_CHANNEL(shifted) \
    __asm__ volatile(MVE_BEGIN "dls lr, %[a]\n"            \
                     "vldrw.u32 q4, [%[record], #-28]\n vmul.i32 q5, q3, %[b]\n vmul.i32 q6, q4, %[b]\n 1:\n" MVE_STEP(128, shifted)     \
                     "le lr, 1b\n ldr %[a], [%[walk], #%c[rest]]\n cmp %[a], #0\n beq 2f\n"                        \
                     "sub %[out], %[out], %[pitch], lsr #1\n" MVE_STEP(64, shifted) "2:\n" MVE_END MVE_OPERANDS)
    if constexpr (kPlain) {
        MVE_CHANNEL(MVE_SHIFT);
    } else {
        MVE_CHANNEL(MVE_ADJUSTED);
    }
#undef MVE_CHANNEL
#undef MVE_STEP
}

// Channels of four outputs in a row a step, two columns apart.
template <bool kPlain>
MCU_INLINE void row_of_channels(const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at) {
    int32_t a, b, c, d, bias, multiplier, addend, shift;
#define MVE_PATCH(sum) "vldrw.u32 q0, [%q[at], #128]!\n" MVE_SUM(sum, q3)
#define MVE_STEP(shifted, predicated, t) \
    MVE_PATCH(a)                         \
    MVE_PATCH(b)                         \
    MVE_PATCH(c)                         \
    MVE_PATCH(d)                         \
    MVE_RESCALE shifted predicated "vstrb" t ".32 q1, [%[out], %q[offsets]]\n add %[out], %[pitch]\n"
#define MVE_CHANNEL(shifted)                                                                     \
    __asm__ volatile(MVE_BEGIN "wls lr, %[a], 2f\n 1:\n" MVE_STEP(                               \
        shifted, "", "") "le lr, 1b\n"                                                           \
                         "2: ldr %[a], [%[walk], #%c[rest]]\n cmp %[a], #0\n beq 3f\n" MVE_STEP( \
                             shifted, "ldr %[a], [%[walk], #%c[rest]]\n vctp.32 %[a]\n vpst\n",  \
                             "t") "3:\n" MVE_END MVE_OPERANDS)
    if constexpr (kPlain) {
        MVE_CHANNEL(MVE_SHIFT);
    } else {
        MVE_CHANNEL(MVE_ADJUSTED);
    }
#undef MVE_CHANNEL
#undef MVE_STEP
#undef MVE_PATCH
}

// Columns in scratch memory for `width` columns of outputs.
int32_t columns_of(int32_t stride, int32_t width) {
    return stride == 1 ? width + 2 : (width + 3) / 4 * 8 + 2;
}

// For `width` columns of `rows` rows.
Walk walk_of(const MveDepthwiseParams& params, int32_t stride, int32_t rows, int32_t width) {
    const int32_t pixel = params.input.channels;
    Walk walk = {};
    walk.low = params.low;
    walk.high = params.high;
    // Four outputs: two columns of two rows, or four columns.
    const int32_t shift = stride == 1 ? 1 : 2;
    const int32_t lower = rows == 2 ? params.output.x * pixel : 0;
    walk.lower = rows == 2 ? 256 : 1;
    walk.steps = width >> shift;
    walk.rest = width - (walk.steps << shift);
    walk.pitch = pixel << shift;
    // With stride 1 a single last column is a step of half the way, one back and one on.
    const int32_t last = walk.rest == 0 ? 0 : (stride == 1 ? walk.pitch / 2 : walk.pitch);
    walk.back = 1 - walk.steps * walk.pitch - last;
    walk.next = 4 - (columns_of(stride, width) - 2) * kColumn;
    walk.offsets[1] = pixel;
    walk.offsets[2] = stride == 1 ? lower : 2 * pixel;
    walk.offsets[3] = walk.offsets[2] + pixel;
    return walk;
}

// The columns of the first channel's first step, less what a step moves on by.
int32x4_t first_columns(const int8_t* columns) {
    const uint32x4_t lanes = vmulq_n_u32(vidupq_n_u32(0, 1), kColumn);
    return vreinterpretq_s32_u32(
        vaddq_n_u32(lanes, static_cast<uint32_t>(reinterpret_cast<uintptr_t>(columns)) - 2 * kColumn));
}

template <typename Compute>
MCU_INLINE void depthwise(const MveDepthwiseParams& params, const int8_t* input, const int32_t* records,
                          int8_t* output, uint8_t* scratch, int32_t stride, const Compute& compute) {
    const int32_t at_once = stride == 1 ? 2 : 1;  // rows of the output
    const int32_t pixel = params.input.channels;
    const int32_t width = params.output.x;
    const int32_t count = columns_of(stride, params.strip);
    const auto value = static_cast<int8_t>(params.pad_value);
    auto* columns = reinterpret_cast<int8_t*>(scratch);
    // Columns beside the image, and rows above and below it, stay what they are.
    mve::fill_bytes(columns, value, count * kColumn + kBlock);
    const int8_t* pad = columns + count * kColumn;
    const int32x4_t at = first_columns(columns);
    Walk walk;
    Pair walked = {0, 0};
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; oy += at_once) {
            const int32_t rows = smaller(at_once, params.output.y - oy);
            const mve::Rows from =
                mve::rows_at(params.input, input, oy * stride - params.padding.y, 1, rows + 2, pad);
            for (int32_t ox = 0; ox < width; ox += params.strip) {
                const int32_t some = smaller(params.strip, width - ox);
                if (rows != walked.y || some != walked.x) {
                    walk = walk_of(params, stride, rows, some);
                    walked = {rows, some};
                }
                const int32_t left = ox * stride - params.padding.x;
                const int32_t first = larger(left, 0);
                const int32_t inside = smaller(left + count, params.input.width) - first;
                int8_t* to = columns + (first - left) * kColumn;
                if (params.strip < width) {
                    mve::fill_bytes(columns, value, (first - left) * kColumn);
                    mve::fill_bytes(to + inside * kColumn, value, (left + count - first - inside) * kColumn);
                }
                uintptr_t record = reinterpret_cast<uintptr_t>(records) - kAhead;
                for (int32_t c = 0; c < pixel; c += kBlock) {
                    const int32_t channels = smaller(pixel - c, kBlock);
                    mve::copy_rows(pixel, from, first * pixel + c, inside, channels, to);
                    walk.end = record + static_cast<uint32_t>(channels) * kRecord;
                    compute(walk, record, output + ox * pixel + c, at);
                    record = walk.end;
                }
            }
            output += rows * width * pixel;
        }
        input += params.input.height * params.input.width * pixel;
    }
}

// One copy for both strides.
using Compute = void (*)(const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at);
[[gnu::noinline]] void shared(const MveDepthwiseParams& params, const int8_t* input, const int32_t* records,
                              int8_t* output, uint8_t* scratch, int32_t stride, Compute compute) {
    depthwise(params, input, records, output, scratch, stride, compute);
}

template <bool kPlain>
void rows(const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at) {
    rows_of_channels<kPlain>(walk, record, out, at);
}
template <bool kPlain>
void row(const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at) {
    row_of_channels<kPlain>(walk, record, out, at);
}

}  // namespace

void mve_depthwise_3x3_s8(const MveDepthwiseParams& params, const int8_t* input, const int32_t* channels,
                          int8_t* output, uint8_t* columns) {
    depthwise(params, input, channels, output, columns, 1,
              [&](const Walk& walk, uintptr_t record, int8_t* out, int32x4_t at) {
                  if (params.plain) {
                      rows_of_channels<true>(walk, record, out, at);
                  } else {
                      rows_of_channels<false>(walk, record, out, at);
                  }
              });
}

void mve_depthwise_3x3_shared_s8(const MveDepthwiseParams& params, const int8_t* input,
                                 const int32_t* channels, int8_t* output, uint8_t* columns) {
    shared(params, input, channels, output, columns, 1, params.plain ? rows<true> : rows<false>);
}

void mve_depthwise_3x3_stride_2_s8(const MveDepthwiseParams& params, const int8_t* input,
                                   const int32_t* channels, int8_t* output, uint8_t* columns) {
    shared(params, input, channels, output, columns, 2, params.plain ? row<true> : row<false>);
}

}  // namespace mcu::kernels
