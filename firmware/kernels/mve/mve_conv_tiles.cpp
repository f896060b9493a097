#include "mcu/kernels/mve_conv_tiles.h"

#include "copy_vectors.h"

#define MCU_INLINE inline __attribute__((always_inline))

namespace mcu::kernels {
namespace {

constexpr int32_t kPixels = 4;
constexpr int32_t kVector = 16;

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
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

// A window from `from` on into the patch. Of a piece of more than a vector, the last 16 bytes are copied
// first to what may be the next piece's place.
MCU_INLINE void copy_window(const Pieces& pieces, const int8_t* from, int32_t step, int8_t* to) {
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
void copy_edge(const MveWindowTilesParams& params, const int8_t* input, int32_t y, int32_t x, int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t row = params.input.width * channels;
    const int32_t piece = window.size.x * channels;
    mve::fill_bytes(to, static_cast<int8_t>(params.pad_value), window.size.y * piece);
    for (int32_t ky = 0; ky < window.size.y; ++ky, y += window.dilation.y, to += piece) {
        if (y < 0 || y >= params.input.height) {
            continue;
        }
        const int8_t* from = input + y * row;
        if (window.dilation.x == 1) {
            const int32_t first = larger(-x, 0);
            const int32_t end = smaller(params.input.width - x, window.size.x);
            mve::copy_bytes(to + first * channels, from + (x + first) * channels, (end - first) * channels);
            continue;
        }
        for (int32_t kx = 0, at = x; kx < window.size.x; ++kx, at += window.dilation.x) {
            if (at >= 0 && at < params.input.width) {
                mve::copy_bytes(to + kx * channels, from + at * channels, channels);
            }
        }
    }
}

Pieces pieces_in_image(const MveWindowTilesParams& params) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t row = window.dilation.y * params.input.width * channels;
    return window.dilation.x == 1
               ? Pieces{window.size.y, 1, window.size.x * channels, row, 0}
               : Pieces{window.size.y, window.size.x, channels, row, window.dilation.x * channels};
}

// The rows of four windows from `at` on, of which some lie outside of the image, `columns` pixels of each.
void copy_edges(const MveWindowTilesParams& params, const int8_t* input, Pair at, int32_t columns,
                int8_t* to) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = params.input.width * channels;
    const int32_t start = larger(-at.x, 0);
    const int32_t bytes = (smaller(params.input.width - at.x, columns) - start) * channels;
    const int8_t* from = input + at.y * pitch + (at.x + start) * channels;
    // What is not copied stays what it is now.
    mve::fill_bytes(to, static_cast<int8_t>(params.pad_value), window.size.y * columns * channels);
    int32_t y = at.y;
    for (int32_t ky = window.size.y; ky > 0; --ky, y += window.dilation.y) {
        if (y >= 0 && y < params.input.height) {
            mve::copy_bytes(to + start * channels, from, bytes);
        }
        from += window.dilation.y * pitch;
        to += columns * channels;
    }
}

// Rows of four windows into the patch: `rows` rows of `bytes`, `row` bytes apart, of windows `step` apart.
struct Rows {
    int32_t rows;
    int32_t bytes;
    int32_t step;
    int32_t pixel;  // as in MveWindowTilesParams
};

// Rows of less than 16 bytes. Assembly because compilers predicate every load by itself.
MCU_INLINE void copy_dense(const Rows& rows, const int8_t* from, int32_t row, int8_t* to) {
    const int8_t* a = from;
    const int8_t* b = a + rows.step;
    const int8_t* c = b + rows.step;
    const int8_t* d = c + rows.step;
    int8_t* e = to + rows.pixel;
    int8_t* f = e + rows.pixel;
    int8_t* g = f + rows.pixel;
    for (int32_t y = rows.rows; y > 0; --y) {
        __asm__ volatile(
            "vctp.8 %[bytes]\n vpstttt\n vldrbt.u8 q0, [%[a]]\n vldrbt.u8 q1, [%[b]]\n"
            "vldrbt.u8 q2, [%[c]]\n vldrbt.u8 q3, [%[d]]\n vpstttt\n vstrbt.8 q0, [%[to]]\n"
            "vstrbt.8 q1, [%[e]]\n vstrbt.8 q2, [%[f]]\n vstrbt.8 q3, [%[g]]\n"
            :
            : [bytes] "r"(rows.bytes), [a] "r"(a), [b] "r"(b), [c] "r"(c), [d] "r"(d), [to] "r"(to),
              [e] "r"(e), [f] "r"(f), [g] "r"(g)
            : "q0", "q1", "q2", "q3", "memory");
        a += row;
        b += row;
        c += row;
        d += row;
        to += rows.bytes;
        e += rows.bytes;
        f += rows.bytes;
        g += rows.bytes;
    }
}

// Rows of at least 16 bytes, with the same number of vectors of each window between the others. Assembly
// because compilers move the pointers by themselves: 9 instructions for four vectors instead of 20.
MCU_INLINE void copy_turns(const Rows& rows, const int8_t* from, int32_t row, int8_t* to) {
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

// Of one tile, for all channels.
MCU_INLINE MveTile tile_of(const MveTileStage& stage, const int8_t* weights, const int32_t* scales) {
    MveTile tile = {};
    tile.weights = weights;
    tile.scales = scales;
    tile.first_scales = scales;
    tile.last_scales = scales + (stage.channels - 1) / 4 * 16;
    tile.tiles = 1;
    for (int32_t p = 1; p < kPixels; ++p) {
        tile.further[p - 1] = p * stage.channels;
    }
    tile.rounds = stage.channels;
    tile.low = stage.low;
    tile.high = stage.high;
    return tile;
}

MCU_INLINE void run(MveCore core, MveTile& tile, int8_t* output) {
    tile.output = output;
    tile.first_output = output;
    core(tile);
}

// Every four pixels of a row of the output. `bring`(tile, from, row) brings their windows, whose rows are
// `row` bytes apart from `from` on, to where the core reads them. Where it leaves them in the image
// (`kStay`), the core goes on to the tiles beside.
template <bool kStay, typename Bring>
MCU_INLINE void for_tiles(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                          const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch,
                          const Bring& bring) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t columns = window.size.x + (kPixels - 1) * window.stride.x;
    const int32_t pitch = params.input.width * channels;
    const int32_t height = params.input.height - (window.size.y - 1) * window.dilation.y;
    const int32_t width = params.input.width - columns + 1;
    auto* const edge = reinterpret_cast<int8_t*>(patch) + params.patch_bytes;
    MveTile tile = tile_of(params.stage, weights, scales);
    const int32_t apart = kPixels * window.stride.x;
    tile.input_step = apart * channels;
    tile.output_step = kPixels * params.stage.channels;
    // Compilers are not to conclude from a naked function's text that it reads no tile.
    __asm__("" : "+r"(core));
    for (int32_t n = 0; n < params.batch; ++n) {
        int32_t y = -window.padding.y;
        for (int32_t oy = params.output.y; oy > 0; --oy, y += window.stride.y) {
            for (int32_t pixel = 0; pixel < params.output.x; pixel += kPixels * tile.tiles) {
                const int32_t ox = smaller(pixel, params.output.x - kPixels);
                const int32_t x = ox * window.stride.x - window.padding.x;
                tile.tiles = 1;
                if (y >= 0 && y < height && x >= 0 && x < width) {
                    if (kStay) {
                        const int32_t whole =
                            smaller((params.output.x - ox) / kPixels, (width - 1 - x) / apart + 1);
                        tile.tiles = whole;
                    }
                    bring(tile, input + y * pitch + x * channels, pitch * window.dilation.y);
                } else {
                    copy_edges(params, input, {y, x}, columns, edge);
                    bring(tile, edge, columns * channels);
                }
                run(core, tile, output + ox * params.stage.channels);
            }
            output += params.output.x * params.stage.channels;
        }
        input += params.input.height * pitch;
    }
}

Rows rows_of(const MveWindowTilesParams& params) {
    const int32_t channels = params.input.channels;
    return {params.window.size.y, params.window.size.x * channels, params.window.stride.x * channels,
            params.pixel};
}

// Four pixels of all groups, whose windows are in `patch`.
MCU_INLINE void run_groups(const MveWindowTilesParams& params, const MveGroups& groups, MveCore core,
                           MveTile tile) {
    for (int32_t g = groups.count; g > 0; --g) {
        run(core, tile, tile.output);
        tile.input += params.patch_bytes;
        tile.weights += groups.weights;
        tile.output += params.stage.channels;
        const int32_t* next = tile.last_scales + 16;
        tile.last_scales += next - tile.scales;
        tile.scales = next;
        tile.first_scales = next;
    }
}

// Bytes from an output to the next of a row, of a column, and of an image.
struct Places {
    int32_t pixel;
    int32_t row;
    int32_t image;
};

Places places_of(const MveWindowTilesParams& params, int32_t channels) {
    const int32_t row = params.output.x * channels;
    return {channels, row, params.output.y * row};
}

// Every four pixels in memory order; `inside` are the pieces of a group's window in the image.
MCU_INLINE void run_windows(const MveWindowTilesParams& params, const MveGroups& groups, const Pieces& inside,
                            const Places& places, MveCore core, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* patch) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t height = params.input.height - (window.size.y - 1) * window.dilation.y;
    const int32_t width = params.input.width - (window.size.x - 1) * window.dilation.x;
    Pieces alone = inside;
    alone.column = groups.count > 1 ? channels : inside.bytes;
    alone.row = inside.columns * alone.column;
    auto* const to = reinterpret_cast<int8_t*>(patch);
    int8_t* const edge = to + groups.count * params.patch_bytes;
    MveTile tile = tile_of(params.stage, weights, scales);
    tile.input = to;
    tile.rounds = params.rounds;
    // Compilers are not to conclude from a naked function's text that it reads no tile.
    __asm__("" : "+r"(core));
    int32_t pixels = 0;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            const int32_t y = oy * window.stride.y - window.padding.y;
            int8_t* out = output + oy * places.row;
            for (int32_t ox = 0; ox < params.output.x; ++ox) {
                const int32_t x = ox * window.stride.x - window.padding.x;
                const bool whole = y >= 0 && y < height && x >= 0 && x < width;
                const int8_t* from = whole ? input + (y * params.input.width + x) * channels : edge;
                if (!whole) {
                    copy_edge(params, input, y, x, edge);
                }
                // The very last pixel is computed as often as the tile has places left.
                const bool last =
                    n + 1 == params.batch && oy + 1 == params.output.y && ox + 1 == params.output.x;
                do {
                    int8_t* at = to + pixels * params.pixel;
                    for (int32_t g = 0; g < groups.count; ++g, at += params.patch_bytes) {
                        copy_window(whole ? inside : alone, from + g * groups.depth, params.vector, at);
                    }
                    if (pixels == 0) {
                        tile.output = out;
                    } else {
                        tile.further[pixels - 1] = out - tile.output;
                    }
                    if (++pixels == kPixels) {
                        run_groups(params, groups, core, tile);
                        pixels = 0;
                    }
                } while (last && pixels != 0);
                out += places.pixel;
            }
        }
        input += params.input.height * params.input.width * channels;
        output += places.image;
    }
}

}  // namespace

void mve_image_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    for_tiles<true>(params, core, input, weights, scales, output, patch,
                    [&](MveTile& tile, const int8_t* from, int32_t row) {
                        tile.input = from;
                        tile.rounds = params.window.size.y > 1 ? row : params.stage.channels;
                    });
}

void mve_dense_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    const Rows rows = rows_of(params);
    auto* const to = reinterpret_cast<int8_t*>(patch);
    for_tiles<false>(params, core, input, weights, scales, output, patch,
                     [&](MveTile& tile, const int8_t* from, int32_t row) {
                         copy_dense(rows, from, row, to);
                         tile.input = to;
                     });
}

void mve_turns_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    const Rows rows = rows_of(params);
    auto* const to = reinterpret_cast<int8_t*>(patch);
    for_tiles<false>(params, core, input, weights, scales, output, patch,
                     [&](MveTile& tile, const int8_t* from, int32_t row) {
                         copy_turns(rows, from, row, to);
                         tile.input = to;
                         tile.rounds = params.rounds;
                     });
}

void mve_pointwise_tiles_s8(const MvePointwiseTilesParams& params, MveCore core, const int8_t* input,
                            const int8_t* weights, const int32_t* scales, int8_t* output) {
    MveTile tile = tile_of(params.stage, weights, scales);
    const int32_t channels = params.stage.channels;
    tile.input_step = kPixels * params.depth;
    tile.output_step = kPixels * channels;
    // Compilers are not to conclude from a naked function's text that it reads no tile.
    __asm__("" : "+r"(core));
    tile.tiles = params.pixels / kPixels;
    tile.input = input;
    run(core, tile, output);
    if (params.pixels % kPixels != 0) {
        const int32_t last = params.pixels - kPixels;
        tile.tiles = 1;
        tile.input = input + last * params.depth;
        run(core, tile, output + last * channels);
    }
}

void mve_window_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                         const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    run_windows(params, {1, 0, 0}, pieces_in_image(params), places_of(params, params.stage.channels), core,
                input, weights, scales, output, patch);
}

void mve_grouped_tiles_s8(const MveGroupedTilesParams& params, MveCore core, const int8_t* input,
                          const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    const MveWindowTilesParams& windows = params.windows;
    const Window& window = windows.window;
    const int32_t channels = windows.input.channels;
    const Pieces pieces = {window.size.y, window.size.x, params.groups.depth,
                           window.dilation.y * windows.input.width * channels, window.dilation.x * channels};
    const Places places = places_of(windows, params.groups.count * windows.stage.channels);
    run_windows(windows, params.groups, pieces, places, core, input, weights, scales, output, patch);
}

void mve_transposed_tiles_s8(const MveTransposedTilesParams& params, MveCore core, const int8_t* input,
                             const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* patch) {
    MveWindowTilesParams phase = params.windows;
    const Pair size = phase.output;
    const Pair stride = params.stride;
    const int32_t channels = phase.stage.channels;
    const int32_t row = size.x * channels;
    const Places places = {stride.x * channels, stride.y * row, size.y * row};
    for (int32_t y = 0; y < stride.y; ++y) {
        for (int32_t x = 0; x < stride.x; ++x) {
            phase.window.padding = {y == 0 ? params.first.y : params.second.y,
                                    x == 0 ? params.first.x : params.second.x};
            phase.output = {(size.y - y + stride.y - 1) / stride.y, (size.x - x + stride.x - 1) / stride.x};
            run_windows(phase, {1, 0, 0}, pieces_in_image(phase), places, core, input, weights, scales,
                        output + y * row + x * channels, patch);
            weights += params.weights;
            scales += (channels + 3) / 4 * 16;
        }
    }
}

}  // namespace mcu::kernels
