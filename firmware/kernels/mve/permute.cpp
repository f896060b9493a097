#include <arm_mve.h>

#include "copy_vectors.h"
#include "mcu/kernels/permute_lines.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kRun = 16;  // elements that are moved together
constexpr int32_t kWord = 4;

// A matrix of bytes, whose words are aligned: `rows` are dense in the input, `columns` in the output. 16 by 4
// elements pass through memory, where VST4 and VLD4 bring them into turns. The last ones may be moved again.
void scatter_words(const Line& rows, const Line& columns, const int8_t* in, int8_t* out) {
    alignas(16) int8_t turns[kWord * kRun];
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(rows.to));
    for (int32_t column = 0; column < columns.count; column += kWord) {
        const int8_t* const from = in + column * columns.from;
        for (int32_t x = 0; x < rows.count; x += kRun) {
            const int32_t row = x < rows.count - kRun ? x : rows.count - kRun;
            int8x16x4_t lines;
            for (int32_t i = 0; i < kWord; ++i) {
                lines.val[i] = vldrbq_s8(from + row + i * columns.from);
            }
            vst4q_s8(turns, lines);
            int8_t* to = out + column + row * rows.to;
            for (int32_t i = 0; i < kRun; i += kWord, to += kWord * rows.to) {
                const int32x4_t words = vldrwq_s32(reinterpret_cast<const int32_t*>(turns + kWord * i));
                vstrwq_scatter_offset_s32(reinterpret_cast<int32_t*>(to), places, words);
            }
        }
    }
}

// The same of more columns than rows.
void gather_words(const Line& rows, const Line& columns, const int8_t* in, int8_t* out) {
    alignas(16) int8_t turns[kWord * kRun];
    const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(columns.from));
    for (int32_t row = 0; row < rows.count; row += kWord) {
        int8_t* const to = out + row * rows.to;
        for (int32_t y = 0; y < columns.count; y += kRun) {
            const int32_t column = y < columns.count - kRun ? y : columns.count - kRun;
            const int8_t* from = in + row + column * columns.from;
            for (int32_t i = 0; i < kRun; i += kWord, from += kWord * columns.from) {
                const auto* const words = reinterpret_cast<const int32_t*>(from);
                vstrwq_s32(reinterpret_cast<int32_t*>(turns + kWord * i),
                           vldrwq_gather_offset_s32(words, places));
            }
            const int8x16x4_t lines = vld4q_s8(turns);
            for (int32_t i = 0; i < kWord; ++i) {
                vstrbq_s8(to + column + i * rows.to, lines.val[i]);
            }
        }
    }
}

bool is_aligned(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % kWord == 0;
}

// Whether a matrix of bytes was moved by words.
bool move_words(const Line& rows, const Line& columns, const int8_t* in, int8_t* out) {
    if (columns.count % kWord == 0 && rows.count >= kRun && rows.to % kWord == 0 && is_aligned(out)) {
        scatter_words(rows, columns, in, out);
        return true;
    }
    if (rows.count % kWord == 0 && columns.count >= kRun && columns.from % kWord == 0 && is_aligned(in)) {
        gather_words(rows, columns, in, out);
        return true;
    }
    return false;
}

// Assembly because gcc 12 makes no tail-predicated loop. Five instructions for four elements.
#define MVE_LINE(load, store)                                                                  \
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n 1: " load " q0, [%[in], %q[gather]]\n" store \
                     " q0, [%[out], %q[scatter]]\n add %[in], %[in], %[from], lsl #2\n"        \
                     "add %[out], %[out], %[to], lsl #2\n letp lr, 1b\n 2:\n"                  \
                     : [in] "+r"(in), [out] "+r"(out)                                          \
                     : [count] "r"(line.count), [from] "r"(line.from), [to] "r"(line.to),      \
                       [gather] "w"(gather), [scatter] "w"(scatter)                            \
                     : "q0", "lr", "memory")

void move_line(const Line& line, int32_t element, const int8_t* in, int8_t* out) {
    const uint32x4_t lanes = vidupq_n_u32(0, 1);
    const uint32x4_t gather = vmulq_n_u32(lanes, static_cast<uint32_t>(line.from));
    const uint32x4_t scatter = vmulq_n_u32(lanes, static_cast<uint32_t>(line.to));
    if (element == 1) {
        MVE_LINE("vldrb.u32", "vstrb.32");
    } else if (element == 2) {
        MVE_LINE("vldrh.u32", "vstrh.32");
    } else if (element == 4) {
        MVE_LINE("vldrw.u32", "vstrw.32");
    } else {
        for (int32_t i = 0; i < line.count; ++i) {
            mve::copy_bytes(out + i * line.to, in + i * line.from, element);
        }
    }
}

}  // namespace

// Of bytes by words, else the longer of the two inner dimensions by vectors.
void permute(const PermuteParams& params, const void* input, void* output) {
    const int32_t element = params.element_bytes;
    const auto move = [element](const Line& outer, const Line& inner, const int8_t* from, int8_t* to) {
        if (element == 1 && outer.from == 1 && move_words(outer, inner, from, to)) {
            return;
        }
        const Line& line = inner.count < outer.count ? outer : inner;
        const Line& lines = inner.count < outer.count ? inner : outer;
        for (int32_t i = 0; i < lines.count; ++i) {
            move_line(line, element, from + i * lines.from, to + i * lines.to);
        }
    };
    for_each_matrix(params, input, output, move);
}

}  // namespace mcu::kernels
