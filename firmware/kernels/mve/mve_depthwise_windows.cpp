#include "mcu/kernels/mve_depthwise_windows.h"

#include "copy_vectors.h"
#include "depthwise_rows.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kBlock = 16;           // channels
constexpr int32_t kColumn = 4 * kBlock;  // bytes
constexpr int32_t kOutputs = 4;          // of a step

int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}
int32_t larger(int32_t a, int32_t b) {
    return a > b ? a : b;
}

// For `width` columns of the output.
void set_width(const MveDepthwiseWindowsParams& params, int32_t width, MveDepthwiseWalk& walk) {
    const int32_t steps = (width + kOutputs - 1) / kOutputs;
    walk.columns = width;
    walk.back = params.copies - steps * walk.pitch;
    walk.next = 4 - steps * kOutputs * params.window.stride.x * kColumn;
}

MveDepthwiseWalk walk_of(const MveDepthwiseWindowsParams& params, const int8_t* columns) {
    const int32_t pixel = params.input.channels * params.copies;
    MveDepthwiseWalk walk = {};
    walk.pitch = kOutputs * pixel;
    walk.low = params.low;
    walk.high = params.high;
    const auto start = static_cast<int32_t>(reinterpret_cast<uintptr_t>(columns));
    for (int32_t i = 0; i < kOutputs; ++i) {
        walk.offsets[i] = i * pixel;
        walk.bases[0][i] = start + (i * params.window.dilation.x - params.window.stride.x) * kColumn;
        walk.bases[1][i] = walk.bases[0][i] + params.second;
    }
    return walk;
}

}  // namespace

void mve_depthwise_windows_s8(const MveDepthwiseWindowsParams& params, MveDepthwiseCore core,
                              const int8_t* input, const int8_t* records, int8_t* output, uint8_t* columns) {
    const Window& window = params.window;
    const int32_t pixel = params.input.channels;
    const int32_t width = params.output.x;
    const int32_t plane = params.columns * kColumn;
    const auto value = static_cast<int8_t>(params.pad_value);
    auto* const at = reinterpret_cast<int8_t*>(columns);
    const int8_t* pad = at + params.planes * plane;
    mve::fill_bytes(at, value, params.planes * plane + kBlock);
    MveDepthwiseWalk walk = walk_of(params, at);
    // Compilers are not to conclude from a naked function's text that it reads no walk.
    __asm__("" : "+r"(core));
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.y; ++oy) {
            const int32_t y = oy * window.stride.y - window.padding.y;
            for (int32_t ox = 0; ox < width; ox += params.strip) {
                const int32_t some = smaller(params.strip, width - ox);
                const int32_t wanted =
                    (some - 1) * window.stride.x + (window.size.x - 1) * window.dilation.x + 1;
                const int32_t left = ox * window.stride.x - window.padding.x;
                const int32_t first = larger(left, 0);
                const int32_t end = larger(smaller(left + wanted, params.input.width), first);
                if (some != walk.columns) {
                    set_width(params, some, walk);
                }
                // What a whole row has beside the image stays what it is.
                for (int32_t p = 0; params.strip < width && p < params.planes; ++p) {
                    mve::fill_bytes(at + p * plane, value, (first - left) * kColumn);
                    mve::fill_bytes(at + p * plane + (end - left) * kColumn, value,
                                    (left + wanted - end) * kColumn);
                }
                walk.records = records;
                for (int32_t c = 0; c < pixel; c += kBlock) {
                    const int32_t channels = smaller(pixel - c, kBlock);
                    for (int32_t p = 0; end > first && p < params.planes; ++p) {
                        const mve::Rows rows =
                            mve::rows_at(params.input, input, y + 4 * p * window.dilation.y,
                                         window.dilation.y, window.size.y - 4 * p, pad);
                        mve::copy_rows(pixel, rows, first * pixel + c, end - first, channels,
                                       at + p * plane + (first - left) * kColumn);
                    }
                    for (int32_t copy = 0; copy < params.copies; ++copy) {
                        walk.output = output + (ox * pixel + c) * params.copies + copy;
                        walk.end = walk.records + channels * params.record;
                        core(walk);
                        walk.records = walk.end;
                    }
                }
            }
            output += width * pixel * params.copies;
        }
        input += params.input.height * params.input.width * pixel;
    }
}

}  // namespace mcu::kernels
