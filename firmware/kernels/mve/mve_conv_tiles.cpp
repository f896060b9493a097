#include "mcu/kernels/mve_conv_tiles.h"

#include "copy_windows.h"

namespace mcu::kernels {
namespace {

using namespace mve;

// Of one tile, for all channels.
MCU_INLINE MveTile tile_of(const MveTileEpilogue& epilogue, const int8_t* weights, const int32_t* scales) {
    MveTile tile = {};
    tile.weights = weights;
    tile.scales = scales;
    tile.first_scales = scales;
    tile.last_scales = scales + (epilogue.channels - 1) / 4 * 16;
    tile.tiles = 1;
    for (int32_t p = 1; p < kPixels; ++p) {
        tile.further[p - 1] = p * epilogue.channels;
    }
    tile.rounds = epilogue.channels;
    tile.low = epilogue.low;
    tile.high = epilogue.high;
    return tile;
}

MCU_INLINE void run(MveCore core, MveTile& tile, int8_t* output) {
    tile.output = output;
    tile.first_output = output;
    core(tile);
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

// Every four pixels of a row of the output. `bring`(tile, from, row) brings their windows, whose rows are
// `row` bytes apart from `from` on, to where the core reads them. Where it leaves them in the image
// (`kStay`), the core goes on to the tiles beside.
template <bool kStay, typename Bring>
MCU_INLINE void for_tiles(const MveWindowTilesParams& params, const Places& places, MveCore core,
                          const int8_t* input, const int8_t* weights, const int32_t* scales, int8_t* output,
                          uint8_t* im2col, const Bring& bring) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t columns = window.size.x + (kPixels - 1) * window.stride.x;
    const int32_t pitch = params.input.width * channels;
    const int32_t height = params.input.height - (window.size.y - 1) * window.dilation.y;
    const int32_t width = params.input.width - columns + 1;
    auto* const edge = reinterpret_cast<int8_t*>(im2col) + params.im2col_bytes;
    MveTile tile = tile_of(params.epilogue, weights, scales);
    const int32_t apart = kPixels * window.stride.x;
    tile.input_step = apart * channels;
    tile.output_step = kPixels * places.pixel;
    for (int32_t p = 1; p < kPixels; ++p) {
        tile.further[p - 1] = p * places.pixel;
    }
    // Compilers are not to conclude from a naked function's text that it reads no tile.
    __asm__("" : "+r"(core));
    for (int32_t n = 0; n < params.batch; ++n) {
        int32_t y = -window.padding.y;
        int8_t* out = output;
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
                run(core, tile, out + ox * places.pixel);
            }
            out += places.row;
        }
        input += params.input.height * pitch;
        output += places.image;
    }
}

// Tiles whose windows are read where they lie in the image.
MCU_INLINE void run_image(const MveWindowTilesParams& params, const Places& places, MveCore core,
                          const int8_t* input, const int8_t* weights, const int32_t* scales, int8_t* output,
                          uint8_t* im2col) {
    for_tiles<true>(params, places, core, input, weights, scales, output, im2col,
                    [&](MveTile& tile, const int8_t* from, int32_t row) {
                        tile.input = from;
                        tile.rounds = params.window.size.y > 1 ? row : places.pixel;
                    });
}

// Windows of pixels in memory order, dense in an im2col buffer that has room for some. Before these is room
// for three, where the last pixels of all are no whole tile.
class DenseTiles {
public:
    DenseTiles(const MveWindowTilesParams& params, MveCore core, const int8_t* weights, const int32_t* scales,
               int8_t* output, int8_t* im2col)
        : params_(params),
          core_(core),
          tile_(tile_of(params.epilogue, weights, scales)),
          output_(output),
          kept_(params.batch * params.output.y * params.output.x % kPixels == 0 ? 0 : kPixels - 1),
          windows_(im2col + kept_ * params.pixel),
          edge_(im2col + params.im2col_bytes),
          pieces_(pieces_in_image(params)),
          most_((params.im2col_bytes - kVector) / params.pixel - kept_) {
        tile_.input_step = kPixels * params.pixel;
        tile_.output_step = kPixels * params.epilogue.channels;
        // Compilers are not to conclude from a naked function's text that it reads no tile.
        __asm__("" : "+r"(core_));
    }

    int32_t room() const { return most_ - held_; }

    // `count` windows from `at` on, of which those that leave the image have `columns` columns together.
    void add(const int8_t* input, Pair at, int32_t count, int32_t columns) {
        const int32_t channels = params_.input.channels;
        Pieces pieces = pieces_;
        const int8_t* from = input + (at.y * params_.input.width + at.x) * channels;
        if (columns > 0) {
            copy_edges(params_, input, at, columns, edge_);
            from = edge_;
            pieces.row = columns * channels;
        }
        int8_t* const to = windows_ + held_ * params_.pixel;
        copy_neighbours(pieces, {from, params_.window.stride.x * channels, count, to, params_.pixel});
        held_ += count;
        if (held_ == most_) {
            run_from(0, most_ / kPixels);
            // What the last tile of all may take again.
            const int32_t kept = kept_ * params_.pixel;
            mve::copy_bytes(windows_ - kept, windows_ + most_ * params_.pixel - kept, kept);
            output_ += most_ * params_.epilogue.channels;
            held_ = 0;
        }
    }

    // Those that are left, of which the last four may be computed again.
    void end() {
        if (held_ >= kPixels) {
            run_from(0, held_ / kPixels);
        }
        if (held_ % kPixels != 0) {
            run_from(held_ - kPixels, 1);
        }
    }

private:
    void run_from(int32_t pixel, int32_t tiles) {
        tile_.tiles = tiles;
        tile_.input = windows_ + pixel * params_.pixel;
        run(core_, tile_, output_ + pixel * params_.epilogue.channels);
    }

    const MveWindowTilesParams& params_;
    MveCore core_;
    MveTile tile_;
    int8_t* output_;
    const int32_t kept_;
    int8_t* const windows_;
    int8_t* const edge_;
    const Pieces pieces_;
    const int32_t most_;
    int32_t held_ = 0;
};

Rows rows_of(const MveWindowTilesParams& params) {
    const int32_t channels = params.input.channels;
    return {params.window.size.y, params.window.size.x * channels, params.window.stride.x * channels};
}

// Four pixels of all groups, whose windows are in `im2col`.
MCU_INLINE void run_groups(const MveWindowTilesParams& params, const MveGroups& groups, MveCore core,
                           MveTile tile) {
    for (int32_t g = groups.count; g > 0; --g) {
        run(core, tile, tile.output);
        tile.input += params.im2col_bytes;
        tile.weights += groups.weights;
        tile.output += params.epilogue.channels;
        const int32_t* next = tile.last_scales + 16;
        tile.last_scales += next - tile.scales;
        tile.scales = next;
        tile.first_scales = next;
    }
}

// Every four pixels in memory order; `inside` are the pieces of a group's window in the image.
MCU_INLINE void run_windows(const MveWindowTilesParams& params, const MveGroups& groups, const Pieces& inside,
                            const Places& places, MveCore core, const int8_t* input, const int8_t* weights,
                            const int32_t* scales, int8_t* output, uint8_t* im2col) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t height = params.input.height - (window.size.y - 1) * window.dilation.y;
    const int32_t width = params.input.width - (window.size.x - 1) * window.dilation.x;
    Pieces alone = inside;
    alone.column = groups.count > 1 ? channels : inside.bytes;
    alone.row = inside.columns * alone.column;
    auto* const to = reinterpret_cast<int8_t*>(im2col);
    int8_t* const edge = to + groups.count * params.im2col_bytes;
    MveTile tile = tile_of(params.epilogue, weights, scales);
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
                    for (int32_t g = 0; g < groups.count; ++g, at += params.im2col_bytes) {
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

// Calls run(phase, places, weights, scales, its first output) for each phase of a transposed convolution.
template <typename Run>
MCU_INLINE void for_phases(const MveTransposedTilesParams& params, const int8_t* weights,
                           const int32_t* scales, int8_t* output, const Run& run_phase) {
    MveWindowTilesParams phase = params.windows;
    const Pair size = phase.output;
    const Pair stride = params.stride;
    const int32_t channels = phase.epilogue.channels;
    const int32_t row = size.x * channels;
    const Places places = {stride.x * channels, stride.y * row, size.y * row};
    for (int32_t y = 0; y < stride.y; ++y) {
        for (int32_t x = 0; x < stride.x; ++x) {
            phase.window.padding = {phase.window.size.y - 1 - (y + params.padding.y) / stride.y,
                                    phase.window.size.x - 1 - (x + params.padding.x) / stride.x};
            phase.output = {(size.y - y + stride.y - 1) / stride.y, (size.x - x + stride.x - 1) / stride.x};
            run_phase(phase, places, weights, scales, output + y * row + x * channels);
            weights += params.weights;
            scales += (channels + 3) / 4 * 16;
        }
    }
}

}  // namespace

void mve_image_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    run_image(params, places_of(params, params.epilogue.channels), core, input, weights, scales, output,
              im2col);
}

void mve_dense_tiles_s8(const MveWindowTilesParams& given, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    const MveWindowTilesParams params = given;  // which stores of int8 cannot change
    DenseTiles tiles(params, core, weights, scales, output, reinterpret_cast<int8_t*>(im2col));
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t reach = (window.size.x - 1) * window.dilation.x + 1;
    const int32_t height = params.input.height - (window.size.y - 1) * window.dilation.y;
    const int32_t spare = params.input.width - reach + window.padding.x;
    // Between these columns of the output windows leave the image neither to the left nor to the right.
    int32_t begin = smaller((window.padding.x + window.stride.x - 1) / window.stride.x, params.output.x);
    int32_t end = larger(begin, spare < 0 ? 0 : smaller(spare / window.stride.x + 1, params.output.x));
    if (end - begin < params.output.x && window.size.y * params.input.width * channels <= kSmallRows) {
        // To copy rows with what is beside them takes less than to begin three times.
        begin = params.output.x;
        end = begin;
    }
    for (int32_t n = 0; n < params.batch; ++n) {
        int32_t y = -window.padding.y;
        for (int32_t oy = params.output.y; oy > 0; --oy, y += window.stride.y) {
            const bool in_rows = y >= 0 && y < height;
            for (int32_t ox = 0; ox < params.output.x;) {
                const bool inside = in_rows && ox >= begin && ox < end;
                const int32_t last = !in_rows     ? params.output.x
                                     : ox < begin ? begin
                                     : inside     ? end
                                                  : params.output.x;
                const int32_t count = smaller(last - ox, tiles.room());
                const int32_t x = ox * window.stride.x - window.padding.x;
                tiles.add(input, {y, x}, count, inside ? 0 : (count - 1) * window.stride.x + reach);
                ox += count;
            }
        }
        input += params.input.height * params.input.width * channels;
    }
    tiles.end();
}

void mve_turns_tiles_s8(const MveWindowTilesParams& params, MveCore core, const int8_t* input,
                        const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    const Rows rows = rows_of(params);
    auto* const to = reinterpret_cast<int8_t*>(im2col);
    for_tiles<false>(params, places_of(params, params.epilogue.channels), core, input, weights, scales,
                     output, im2col, [&](MveTile& tile, const int8_t* from, int32_t row) {
                         copy_turns(rows, from, row, to);
                         tile.input = to;
                         tile.rounds = params.rounds;
                     });
}

void mve_pointwise_tiles_s8(const MvePointwiseTilesParams& params, MveCore core, const int8_t* input,
                            const int8_t* weights, const int32_t* scales, int8_t* output) {
    MveTile tile = tile_of(params.epilogue, weights, scales);
    const int32_t channels = params.epilogue.channels;
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
                         const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    run_windows(params, {1, 0, 0}, pieces_in_image(params), places_of(params, params.epilogue.channels), core,
                input, weights, scales, output, im2col);
}

void mve_grouped_tiles_s8(const MveGroupedTilesParams& params, MveCore core, const int8_t* input,
                          const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    const MveWindowTilesParams& windows = params.windows;
    const Window& window = windows.window;
    const int32_t channels = windows.input.channels;
    const Pieces pieces = {window.size.y, window.size.x, params.groups.depth,
                           window.dilation.y * windows.input.width * channels, window.dilation.x * channels};
    const Places places = places_of(windows, params.groups.count * windows.epilogue.channels);
    run_windows(windows, params.groups, pieces, places, core, input, weights, scales, output, im2col);
}

void mve_transposed_tiles_s8(const MveTransposedTilesParams& params, MveCore core, const int8_t* input,
                             const int8_t* weights, const int32_t* scales, int8_t* output, uint8_t* im2col) {
    for_phases(params, weights, scales, output,
               [&](const MveWindowTilesParams& phase, const Places& places, const int8_t* its_weights,
                   const int32_t* its_scales, int8_t* first) {
                   run_windows(phase, {1, 0, 0}, pieces_in_image(phase), places, core, input, its_weights,
                               its_scales, first, im2col);
               });
}

void mve_transposed_image_tiles_s8(const MveTransposedTilesParams& params, MveCore core, const int8_t* input,
                                   const int8_t* weights, const int32_t* scales, int8_t* output,
                                   uint8_t* im2col) {
    for_phases(params, weights, scales, output,
               [&](const MveWindowTilesParams& phase, const Places& places, const int8_t* its_weights,
                   const int32_t* its_scales, int8_t* first) {
                   run_image(phase, places, core, input, its_weights, its_scales, first, im2col);
               });
}

}  // namespace mcu::kernels
