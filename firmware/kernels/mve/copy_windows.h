// Windows of the image brought together in the im2col buffer, for the kernels of mve_conv_tiles.h.
//
// Functions are static, so that those that are called once are a part of the kernel.

#pragma once

#include "copy_vectors.h"
#include "mcu/kernels/mve_conv_tiles.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels::mve {

inline constexpr int32_t kPixels = 4;
inline constexpr int32_t kVector = 16;
inline constexpr int32_t kSmallRows = 384;  // bytes

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
static int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// Pieces of a window: `rows` times `columns` of `bytes`, `row` and `column` bytes apart.
struct Pieces {
    int32_t rows;
    int32_t columns;
    int32_t bytes;
    int32_t row;
    int32_t column;
};

// A window from `from` on into the im2col buffer. Of a piece of more than a vector, the last 16 bytes are
// copied first to what may be the next piece's place.
static MCU_INLINE void copy_window(const Pieces& pieces, const int8_t* from, int32_t step, int8_t* to) {
    const int32_t vectors = (pieces.bytes + kVector - 1) / kVector;
    const int32_t second = vectors > 1 ? pieces.bytes - kVector * (vectors - 1) : 0;
    const bool dense = step == kVector;
    const int32_t next = dense ? pieces.bytes : vectors * step;
    const int32_t on = dense ? second : step;
    const mve_pred16_t left = vctp8q(static_cast<uint32_t>(pieces.bytes));
    if (vectors == 1 && pieces.columns == 1) {
        for (int32_t y = pieces.rows; y > 0; --y, from += pieces.row, to += next) {
            vstrbq_s8(to, vldrbq_z_s8(from, left));
        }
        return;
    }
    for (int32_t y = pieces.rows; y > 0; --y, from += pieces.row) {
        const int8_t* piece = from;
        for (int32_t x = pieces.columns; x > 0; --x, piece += pieces.column) {
            vstrbq_s8(to, vldrbq_z_s8(piece, left));
            const int8_t* at = piece + second;
            int8_t* out = to + on;
            for (int32_t v = vectors - 1; v > 0; --v) {
                vstrbq_s8(out, vldrbq_s8(at));
                at += kVector;
                out += step;
            }
            to += next;
        }
    }
}

// The window whose corner is at (y, x), some of which is outside of the image, its rows one behind the other.
static void copy_edge(const MveWindowTilesParams& params, const int8_t* input, int32_t y, int32_t x,
                      int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t row = params.input.width * channels;
    const int32_t piece = window.size.x * channels;
    fill_bytes(to, static_cast<int8_t>(params.pad_value), window.size.y * piece);
    for (int32_t ky = 0; ky < window.size.y; ++ky, y += window.dilation.y, to += piece) {
        if (y < 0 || y >= params.input.height) {
            continue;
        }
        const int8_t* from = input + y * row;
        if (window.dilation.x == 1) {
            const int32_t first = larger(-x, 0);
            const int32_t end = smaller(params.input.width - x, window.size.x);
            copy_bytes(to + first * channels, from + (x + first) * channels, (end - first) * channels);
            continue;
        }
        for (int32_t kx = 0, at = x; kx < window.size.x; ++kx, at += window.dilation.x) {
            if (at >= 0 && at < params.input.width) {
                copy_bytes(to + kx * channels, from + at * channels, channels);
            }
        }
    }
}

static Pieces pieces_in_image(const MveWindowTilesParams& params) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t row = window.dilation.y * params.input.width * channels;
    return window.dilation.x == 1
               ? Pieces{window.size.y, 1, window.size.x * channels, row, 0}
               : Pieces{window.size.y, window.size.x, channels, row, window.dilation.x * channels};
}

// The rows of four windows from `at` on, of which some lie outside of the image, `columns` pixels of each.
static void copy_edges(const MveWindowTilesParams& params, const int8_t* input, Pair at, int32_t columns,
                       int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    const int32_t start = larger(-at.x, 0);
    const int32_t bytes = (smaller(params.input.width - at.x, columns) - start) * channels;
    const int8_t* from = input + at.y * pitch + (at.x + start) * channels;
    // What is not copied stays what it is now.
    fill_bytes(to, static_cast<int8_t>(params.pad_value), window.size.y * columns * channels);
    int32_t y = at.y;
    for (int32_t ky = window.size.y; ky > 0; --ky, y += window.dilation.y) {
        if (y >= 0 && y < params.input.height) {
            copy_bytes(to + start * channels, from, bytes);
        }
        from += window.dilation.y * pitch;
        to += columns * channels;
    }
}

// Rows of four windows into the im2col buffer: `rows` rows of `bytes`, `row` bytes apart, of windows `step`
// apart.
struct Rows {
    int32_t rows;
    int32_t bytes;
    int32_t step;
};

// `count` windows that are `step` bytes apart to places `pixel` bytes apart.
struct Neighbours {
    const int8_t* from;
    int32_t step;
    int32_t count;
    int8_t* to;
    int32_t pixel;
};

// Up to four rows of less than 16 bytes of each of some windows. Assembly because compilers predicate every
// access by itself and move the pointers before them: 2 instructions and two additions a row here.
#define MVE_LOAD(q, from) "vldrbt.u8 " q ", [%[" from "]]\n"
#define MVE_STORE(q, to) "vstrbt.8 " q ", [%[" to "]]\n"
#define MVE_MOVE(from, to) "add %[" from "], %[step]\n add %[" to "], %[pixel]\n"
#define MVE_COPY(then, loads, stores, moves)                                                             \
    __asm__ volatile(                                                                                    \
        "vctp.8 %[bytes]\n dls lr, %[count]\n 1:\n vpst" then "\n" loads "vpst" then "\n" stores moves   \
        "le lr, 1b\n"                                                                                    \
        : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [e] "+r"(e), [f] "+r"(f), [g] "+r"(g),     \
          [h] "+r"(h)                                                                                    \
        : [bytes] "r"(bytes), [count] "r"(given.count), [step] "r"(given.step), [pixel] "r"(given.pixel) \
        : "q0", "q1", "q2", "q3", "lr", "memory")
static __attribute__((noinline)) void copy_short_rows(const Neighbours& given, int32_t rows, int32_t bytes,
                                                      int32_t row) {
    const int8_t* a = given.from;
    const int8_t* b = a + row;
    const int8_t* c = b + row;
    const int8_t* d = c + row;
    int8_t* e = given.to;
    int8_t* f = e + bytes;
    int8_t* g = f + bytes;
    int8_t* h = g + bytes;
    if (rows >= 4) {
        MVE_COPY("ttt", MVE_LOAD("q0", "a") MVE_LOAD("q1", "b") MVE_LOAD("q2", "c") MVE_LOAD("q3", "d"),
                 MVE_STORE("q0", "e") MVE_STORE("q1", "f") MVE_STORE("q2", "g") MVE_STORE("q3", "h"),
                 MVE_MOVE("a", "e") MVE_MOVE("b", "f") MVE_MOVE("c", "g") MVE_MOVE("d", "h"));
    } else if (rows == 3) {
        MVE_COPY("tt", MVE_LOAD("q0", "a") MVE_LOAD("q1", "b") MVE_LOAD("q2", "c"),
                 MVE_STORE("q0", "e") MVE_STORE("q1", "f") MVE_STORE("q2", "g"),
                 MVE_MOVE("a", "e") MVE_MOVE("b", "f") MVE_MOVE("c", "g"));
    } else if (rows == 2) {
        MVE_COPY("t", MVE_LOAD("q0", "a") MVE_LOAD("q1", "b"), MVE_STORE("q0", "e") MVE_STORE("q1", "f"),
                 MVE_MOVE("a", "e") MVE_MOVE("b", "f"));
    } else {
        MVE_COPY("", MVE_LOAD("q0", "a"), MVE_STORE("q0", "e"), MVE_MOVE("a", "e"));
    }
}
#undef MVE_LOAD
#undef MVE_STORE
#undef MVE_MOVE
#undef MVE_COPY

// Windows of neighbours into the im2col buffer, dense.
static void copy_neighbours(const Pieces& pieces, Neighbours given) {
    if (pieces.columns == 1 && pieces.bytes < kVector) {
        for (int32_t left = pieces.rows; left > 0; left -= 4) {
            copy_short_rows(given, left, pieces.bytes, pieces.row);
            given.from += 4 * pieces.row;
            given.to += 4 * pieces.bytes;
        }
        return;
    }
    for (int32_t left = given.count; left > 0; --left) {
        copy_window(pieces, given.from, kVector, given.to);
        given.from += given.step;
        given.to += given.pixel;
    }
}

// Rows of at least 16 bytes, with the same number of vectors of each window between the others. Assembly
// because compilers move the pointers by themselves: 9 instructions for four vectors instead of 20.
static MCU_INLINE void copy_turns(const Rows& rows, const int8_t* from, int32_t row, int8_t* to) {
    const int32_t further = (rows.bytes + kVector - 1) / kVector - 1;
    const int32_t second = rows.bytes - kVector * further;
    for (int32_t y = rows.rows; y > 0; --y, from += row) {
        const int8_t* a = from;
        const int8_t* b = a + rows.step;
        const int8_t* c = b + rows.step;
        const int8_t* d = c + rows.step;
#define MVE_FOUR(on)                                                                                 \
    "vldrb.u8 q0, [%[a]]" on "\n vldrb.u8 q1, [%[b]]" on "\n vldrb.u8 q2, [%[c]]" on                 \
    "\n vldrb.u8 q3, [%[d]]" on                                                                      \
    "\n vstrb.8 q0, [%[to]], #64\n vstrb.8 q1, [%[to], #-48]\n vstrb.8 q2, [%[to], #-32]\n vstrb.8 " \
    "q3, [%[to], #-16]\n"
        __asm__ volatile(MVE_FOUR("") "add %[a], %[second]\n add %[b], %[second]\n add %[c], %[second]\n"
                                      "add %[d], %[second]\n wls lr, %[further], 2f\n"
                                      "1:\n" MVE_FOUR(", #16") "le lr, 1b\n 2:\n"
                         : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [to] "+r"(to)
                         : [second] "r"(second), [further] "r"(further)
                         : "q0", "q1", "q2", "q3", "lr", "memory");
#undef MVE_FOUR
    }
}

}  // namespace mcu::kernels::mve
