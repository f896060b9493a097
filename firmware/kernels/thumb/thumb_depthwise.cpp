#include "mcu/kernels/thumb_depthwise.h"

#include "mcu/kernels/taps.h"

namespace mcu::kernels {
namespace {

// Pixels of the output that follow each other in a row: the first one, and how many.
struct Block {
    int32_t y;
    int32_t x;
    int32_t count;
};

class Blocks {
public:
    Blocks(const ThumbDepthwiseParams& params, ThumbTapsCore core, const int32_t* packed, const int8_t* edge,
           Tap* table)
        : params_(params), core_(core), edge_(edge), table_(table) {
        taps_.packed = packed;
        taps_.table = table;
        taps_.table_end = table + params.window.size.y * params.reach;
        taps_.bounds = params.bounds;
    }

    // Where the table serves the block too, it is not made anew.
    void make(const int8_t* image, const Block& block, int8_t* output) {
        const Window& window = params_.window;
        const Pair origin = {block.y * window.stride.y - window.padding.y,
                             block.x * window.stride.x - window.padding.x};
        const bool whole = block.count == params_.together && origin.y >= 0 && origin.x >= 0 &&
                           origin.y + (window.size.y - 1) * window.dilation.y < params_.input.height &&
                           origin.x + params_.reach <= params_.input.width;
        if (whole && whole_ == image && row_ == block.y) {
            offset_ += (origin.x - column_) * params_.input.channels;
        } else {
            point(image, origin);
            offset_ = 0;
            whole_ = whole ? image : nullptr;
            row_ = block.y;
        }
        column_ = origin.x;
        taps_.from = offset_;
        taps_.from_end = offset_ + params_.input.channels;
        for (int32_t i = 0; i < params_.together; ++i) {
            taps_.outputs[i] = output + (i < block.count ? i * params_.input.channels : 0) - offset_;
        }
        core_(taps_);
    }

private:
    void point(const int8_t* image, Pair origin) {
        const ImageSize& size = params_.input;
        Tap* tap = table_;
        for (int32_t ky = 0; ky < params_.window.size.y; ++ky, origin.y += params_.window.dilation.y) {
            const bool inside = static_cast<uint32_t>(origin.y) < static_cast<uint32_t>(size.height);
            const auto width = inside ? static_cast<uint32_t>(size.width) : 0;
            const int8_t* pixel = image + (origin.y * size.width + origin.x) * size.channels;
            for (int32_t x = origin.x; x != origin.x + params_.reach; ++x, pixel += size.channels) {
                *tap++ = static_cast<uint32_t>(x) < width ? pixel : edge_;
            }
        }
    }

    const ThumbDepthwiseParams& params_;
    ThumbTapsCore core_;
    const int8_t* edge_;
    Tap* table_;
    ThumbTaps taps_ = {};
    const int8_t* whole_ = nullptr;  // the image that all of the table points into
    int32_t row_ = 0;
    int32_t column_ = 0;
    int32_t offset_ = 0;
};

}  // namespace

void thumb_depthwise(const ThumbDepthwiseParams& params, ThumbTapsCore core, const int8_t* input,
                     const int32_t* packed, const int8_t* edge, int8_t* output, uint8_t* table) {
    for (int32_t n = 0; n < params.batch; ++n) {
        Blocks blocks(params, core, packed, edge, reinterpret_cast<Tap*>(table));
        for (int32_t y = 0; y < params.output.y; ++y) {
            for (int32_t x = 0; x < params.output.x; x += params.together) {
                const int32_t left = params.output.x - x;
                const int32_t count = left < params.together ? left : params.together;
                blocks.make(input, {y, x, count}, output);
                output += count * params.input.channels;
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

}  // namespace mcu::kernels
