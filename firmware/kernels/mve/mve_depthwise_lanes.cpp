#include "mcu/kernels/mve_depthwise_lanes.h"

#include "copy_vectors.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 8;

// Pixels of the output, or several at once, and where their windows are.
struct Area {
    int32_t rows;
    int32_t columns;
    Pair input;  // bytes from a pixel to the next
    Pair output;
};

struct Pixels {
    MveDepthwiseLanesRow row;
    MveDepthwiseLanesCore core;

    void run(const int8_t* input, int8_t* output, int32_t pairs, const Pair& beside) {
        if (pairs > 0) {
            row.input = input;
            row.output = output;
            row.pairs = pairs;
            row.beside_input = beside.y;
            row.beside_output = beside.x;
            core(row);
        }
    }

    // In the order of the output. Of rows of odd pixels a pair's second pixel may be the next row's first.
    void run(const Area& area, const int8_t* input, int8_t* output) {
        const int32_t pairs = area.columns / 2;
        const int32_t blocks = (row.lanes + kLanes - 1) / kLanes * kLanes;
        row.next_input = 2 * area.input.x - blocks;
        row.next_output = 2 * area.output.x - blocks;
        const Pair beside = {area.input.x, area.output.x};
        const Pair last = {(area.columns - 1) * area.input.x, (area.columns - 1) * area.output.x};
        bool first_is_done = false;
        for (int32_t y = 0; y < area.rows; ++y) {
            const int32_t on = first_is_done ? 1 : 0;
            run(input + on * area.input.x, output + on * area.output.x, pairs, beside);
            const bool is_odd = area.columns % 2 != 0 && !first_is_done;
            first_is_done = is_odd && y + 1 < area.rows;
            if (is_odd) {
                const Pair below = {area.input.y - last.y, area.output.y - last.x};
                run(input + last.y, output + last.x, 1, first_is_done ? below : Pair{0, 0});
            }
            input += area.input.y;
            output += area.output.y;
        }
    }
};

// Rows of the input from row y on as they lie between padding.
void copy_rows(const MveDepthwiseLanesParams& params, const int8_t* input, int32_t y, int32_t count,
               int8_t* to) {
    const ImageSize& image = params.input;
    const int32_t left = params.window.padding.x;
    const int32_t width = left + image.width < params.columns ? image.width : params.columns - left;
    const int32_t bytes = width * image.channels;
    const auto padding = static_cast<int8_t>(params.pad_value);
    int32_t before = left * image.channels;  // bytes in front of a row, with those behind the one above
    for (int32_t i = 0; i < count; ++i, ++y) {
        mve::fill_bytes(to, padding, before);
        to += before;
        if (y >= 0 && y < image.height) {
            mve::copy_bytes(to, input + y * image.width * image.channels, bytes);
        } else {
            mve::fill_bytes(to, padding, bytes);
        }
        to += bytes;
        before = (params.columns - width) * image.channels;
    }
    mve::fill_bytes(to, padding, (params.columns - width - left) * image.channels);
}

}  // namespace

void mve_depthwise_lanes_s8(const MveDepthwiseLanesParams& params, MveDepthwiseLanesCore core,
                            const int8_t* input, const int8_t* records, int8_t* output, uint8_t* rows) {
    const Window& window = params.window;
    const int32_t channels = params.input.channels;
    const int32_t pitch = (params.strip > 0 ? params.columns : params.input.width) * channels;
    const int32_t taps = window.size.x > 1 ? window.size.x * window.dilation.x * channels : 0;
    Pixels pixels = {};
    // Compilers are not to conclude from a naked function's text that it reads nothing.
    __asm__("" : "+r"(core));
    pixels.core = core;
    pixels.row.records = records;
    pixels.row.rows = window.size.y;
    pixels.row.row_step = window.dilation.y * pitch - taps;
    pixels.row.back = kLanes - params.moved;
    pixels.row.low = params.low;
    pixels.row.high = params.high;
    pixels.row.tap_step = window.dilation.x * channels;
    auto* const copied = reinterpret_cast<int8_t*>(rows);
    const int32_t strip = params.strip > 0 ? params.strip : params.output.y;
    const int32_t reach = (window.size.y - 1) * window.dilation.y + 1;
    const int32_t together = params.together;
    const int32_t whole = params.output.x / together;
    const int32_t rest = params.output.x % together;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t y = 0; y < params.output.y; y += strip) {
            const int32_t some = y + strip < params.output.y ? strip : params.output.y - y;
            const int32_t top = y * window.stride.y - window.padding.y;
            const int8_t* from = input + top * pitch;
            if (params.strip > 0) {
                copy_rows(params, input, top, (some - 1) * window.stride.y + reach, copied);
                from = copied;
            }
            const Pair below = {window.stride.y * pitch, params.output.x * channels};
            const Pair on = {together * window.stride.x * channels, together * channels};
            pixels.row.lanes = together * channels;
            pixels.run({some, whole, {below.y, on.y}, {below.x, on.x}}, from, output);
            if (rest > 0) {
                pixels.row.lanes = rest * channels;
                pixels.run({some, 1, {below.y, on.y}, {below.x, on.x}}, from + whole * on.y,
                           output + whole * on.x);
            }
            output += some * params.output.x * channels;
        }
        input += params.input.height * params.input.width * channels;
    }
}

void mve_depthwise_alone_s8(const MveDepthwiseAloneParams& params, MveDepthwiseLanesCore core,
                            const int8_t* input, const int8_t* records, int8_t* output) {
    MveDepthwiseLanesRow row = {};
    row.records = records;
    row.input = input;
    row.output = output;
    row.pairs = 1;
    row.lanes = params.lanes;
    row.rows = params.rows;
    row.row_step = params.row_step;
    row.back = params.back;
    row.low = params.low;
    row.high = params.high;
    row.tap_step = params.tap_step;
    __asm__("" : "+r"(core));  // as above
    core(row);
}

}  // namespace mcu::kernels
