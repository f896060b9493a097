#include "mcu/kernels/thumb_conv2d.h"

namespace mcu::kernels {
namespace {

// Where the four pixels of a tile are stored: bytes behind the first, 0 where there is none.
struct Offsets {
    int32_t of[4];
};

inline Offsets offsets(int32_t left, int32_t channels) {
    return {{0, left > 1 ? channels : 0, left > 2 ? 2 * channels : 0, left > 3 ? 3 * channels : 0}};
}

// Calls the core for channels of four pixels.
class Tiles {
public:
    Tiles(const ThumbTileParams& params, ThumbCore core, const int32_t* packed, int32_t* im2col)
        : params_(params), core_(core), packed_(packed) {
        tile_.im2col = im2col;
        tile_.im2col_end = im2col + 2 * params.products;
        tile_.eight_stride = 8 * (params.products - 1);
        tile_.bounds = params.bounds;
    }

    // `count` channels from `channel` on, of the first four of `left` pixels; `output` is the first pixel's.
    void make(int32_t left, int32_t channel, int32_t count, int8_t* output) {
        const auto eight = static_cast<int32_t>(static_cast<uint32_t>(channel) / 8);
        const auto eights = static_cast<int32_t>(static_cast<uint32_t>(params_.channels + 7) / 8);
        const int32_t in_eight = channel - 8 * eight;
        const auto weights = reinterpret_cast<uintptr_t>(packed_ + 2 * eight * params_.products);
        tile_.weights = static_cast<int32_t>(weights - reinterpret_cast<uintptr_t>(tile_.im2col)) + in_eight;
        tile_.in_eight = 8 - in_eight;
        tile_.scales = packed_ + 2 * eights * params_.products + 4 * channel;
        const Offsets to = offsets(left, params_.channels);
        tile_.output = output + channel;
        tile_.second = to.of[1];
        tile_.third = to.of[2];
        tile_.fourth = to.of[3];
        tile_.output_end = tile_.output + count;
        core_(tile_);
    }

private:
    const ThumbTileParams& params_;
    ThumbCore core_;
    const int32_t* packed_;
    ThumbTile tile_ = {};
};

inline int32_t both(const int8_t* first, const int8_t* second) {
    return *first + *second * (1 << 16);
}

// Two runs of bytes into the im2col buffer, two words of every four; the slot behind them. Slots of odd
// products have bit 2 in their address.
__attribute__((noinline)) int32_t* pair(const int8_t* first, const int8_t* second, int32_t count,
                                        int32_t* slot) {
    if ((reinterpret_cast<uintptr_t>(slot) & 4) != 0 && count > 0) {
        *slot = both(first++, second++);
        slot += 3;
        --count;
    }
    for (; count > 1; count -= 2, slot += 4, first += 2, second += 2) {
        slot[0] = both(first, second);
        slot[1] = both(first + 1, second + 1);
    }
    if (count > 0) {
        *slot++ = both(first, second);
    }
    return slot;
}

// The window of one output pixel.
struct Origin {
    const int8_t* image;
    int32_t y;
    int32_t x;
};

inline bool is_inside(int32_t at, int32_t size) {
    return static_cast<uint32_t>(at) < static_cast<uint32_t>(size);
}

// One row of a window: all its columns are in the image and follow each other, or each is looked at.
struct Row {
    const int8_t* pixels;
    bool whole;
    bool inside;

    Row(const ThumbConv2dParams& params, const Origin& origin, int32_t y)
        : pixels(origin.image + (y * params.input.width + origin.x) * params.input.channels),
          whole(params.groups == 1 && params.window.dilation.x == 1 && origin.x >= 0 &&
                origin.x + params.window.size.x <= params.input.width),
          inside(is_inside(y, params.input.height)) {}
};

inline void windows(const ThumbConv2dParams& params, const Origin& a, const Origin& b, const int8_t* edge,
                    int32_t* slot) {
    const int32_t depth = params.depth;
    const int32_t columns = params.window.size.x;
    const Pair dilation = params.window.dilation;
    const int32_t apart = dilation.x * params.input.channels;
    for (int32_t ky = 0; ky < params.window.size.y; ++ky) {
        const Row first(params, a, a.y + ky * dilation.y);
        const Row second(params, b, b.y + ky * dilation.y);
        if (first.whole && second.whole && first.inside && second.inside) {
            slot = pair(first.pixels, second.pixels, columns * depth, slot);
            continue;
        }
        for (int32_t kx = 0; kx < columns; ++kx) {
            const bool a_inside = first.inside && is_inside(a.x + kx * dilation.x, params.input.width);
            const bool b_inside = second.inside && is_inside(b.x + kx * dilation.x, params.input.width);
            slot = pair(a_inside ? first.pixels + kx * apart : edge,
                        b_inside ? second.pixels + kx * apart : edge, depth, slot);
        }
    }
}

// Output pixels in memory order.
class Origins {
public:
    Origins(const ThumbConv2dParams& params, const int8_t* input)
        : params_(params), at_{input, -params.window.padding.y, -params.window.padding.x} {}

    Origin next() {
        const Origin found = at_;
        at_.x += params_.window.stride.x;
        if (++column_ == params_.output.width) {
            column_ = 0;
            at_.x = -params_.window.padding.x;
            at_.y += params_.window.stride.y;
            if (++row_ == params_.output.height) {
                row_ = 0;
                at_.y = -params_.window.padding.y;
                at_.image += params_.input.height * params_.input.width * params_.input.channels;
            }
        }
        return found;
    }

private:
    const ThumbConv2dParams& params_;
    Origin at_;
    int32_t column_ = 0;
    int32_t row_ = 0;
};

}  // namespace

void thumb_conv2d(const ThumbConv2dParams& params, ThumbCore core, const int8_t* input, const int32_t* packed,
                  const int8_t* edge, int8_t* output, uint8_t* im2col) {
    const auto slots = reinterpret_cast<int32_t*>(im2col);
    Tiles tiles(params.tile, core, packed, slots);
    Origins origins(params, input);
    const int32_t channels = params.tile.channels / params.groups;
    for (int32_t left = params.batch * params.output.height * params.output.width; left > 0; left -= 4) {
        Origin pixels[4];
        for (int32_t i = 0; i < 4; ++i) {
            pixels[i] = i < left ? origins.next() : pixels[0];
        }
        for (int32_t channel = 0; channel < params.tile.channels; channel += channels) {
            windows(params, pixels[0], pixels[1], edge, slots);
            windows(params, pixels[2], pixels[3], edge, slots + 2);
            tiles.make(left, channel, channels, output);
            for (Origin& pixel : pixels) {
                pixel.image += params.depth;
            }
        }
        output += 4 * params.tile.channels;
    }
}

void thumb_pointwise(const ThumbPointwiseParams& params, ThumbCore core, const int8_t* input,
                     const int32_t* packed, int8_t* output, uint8_t* im2col) {
    const auto slots = reinterpret_cast<int32_t*>(im2col);
    Tiles tiles(params.tile, core, packed, slots);
    for (int32_t left = params.pixels; left > 0; left -= 4) {
        const Offsets from = offsets(left, params.depth);
        pair(input, input + from.of[1], params.depth, slots);
        pair(input + from.of[2], input + from.of[3], params.depth, slots + 2);
        tiles.make(left, 0, params.tile.channels, output);
        input += 4 * params.depth;
        output += 4 * params.tile.channels;
    }
}

}  // namespace mcu::kernels
