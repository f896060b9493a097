#include "mcu/kernels/dsp_conv2d.h"

#include "tile.h"

namespace mcu::kernels {
namespace {

using dsp::Form;
using dsp::put;
using dsp::Slot;
using dsp::widen_words;

// `count` bytes, filled up to fours with zeros.
__attribute__((noinline)) Slot widen(const int8_t* from, int32_t count, Slot slot) {
    slot = widen_words(from, count >> 2, slot);
    if (const int32_t rest = count & 3; rest != 0) {
        slot = put(dsp::load_bytes(from + count - rest, rest), slot);
    }
    return slot;
}

inline Slot fill(int32_t words, int32_t word, Slot slot) {
    for (; words > 0; --words) {
        slot = put(word, slot);
    }
    return slot;
}

// A row of a window: `before` and `after` are bytes outside the image, `run` all its bytes.
struct Row {
    const int8_t* inside;
    int32_t before;
    int32_t after;
    int32_t run;
};

// Calls function(row, whether it is in the image) for the rows of the window at `origin`.
template <typename Function>
inline __attribute__((always_inline)) void for_each_row(const DspConv2dParams& params, const int8_t* image,
                                                        Pair origin, const Function& function) {
    const ImageSize& size = params.input;
    const int32_t left = origin.x < 0 ? -origin.x : 0;
    const int32_t beyond = origin.x + params.window.size.x - size.width;
    const int32_t right = beyond > 0 ? beyond : 0;
    Row row = {image + (origin.y * size.width + origin.x + left) * size.channels, left * size.channels,
               right * size.channels, params.window.size.x * size.channels};
    for (int32_t y = origin.y; y < origin.y + params.window.size.y; ++y) {
        function(row, static_cast<uint32_t>(y) < static_cast<uint32_t>(size.height));
        row.inside += size.width * size.channels;
    }
}

// Windows of pixels that are whole words.
struct Words {
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        const int32_t pad = static_cast<uint8_t>(params.pad_value) * 0x01010101;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                slot = fill(row.run >> 2, pad, slot);
                return;
            }
            slot = fill(row.before >> 2, pad, slot);
            slot = widen_words(row.inside, (row.run - row.before - row.after) >> 2, slot);
            slot = fill(row.after >> 2, pad, slot);
        });
    }
};

// Other windows: brought together byte by byte behind the patch, then widened.
struct Bytes {
    static void widen_window(const DspConv2dParams& params, const int8_t* image, Pair origin, Slot slot) {
        // Behind the patch; two words further on for the second pixel, as its slots are.
        const auto pad = static_cast<int8_t>(params.pad_value);
        int8_t* const window = reinterpret_cast<int8_t*>(slot + 4 * params.tile.groups);
        int8_t* to = window;
        for_each_row(params, image, origin, [&](const Row& row, bool inside) {
            if (!inside) {
                to = dsp::fill_bytes(row.run, pad, to);
                return;
            }
            if (row.before > 0) {
                to = dsp::fill_bytes(row.before, pad, to);
            }
            to = dsp::copy_bytes(row.inside, row.run - row.before - row.after, to);
            if (row.after > 0) {
                to = dsp::fill_bytes(row.after, pad, to);
            }
        });
        widen_words(window, (to - window + 3) >> 2, slot);
    }
};

// kUnroll groups in a turn; 0: sums of any size.
template <Form kForm, int kUnroll>
inline void two_pixels(const DspTileParams& tile, const int32_t* patch, const int32_t* packed, int8_t* out0,
                       int8_t* out1) {
    if constexpr (kUnroll == 0) {
        dsp::two_pixels_long<kForm>(tile, patch, packed, out0, out1);
    } else {
        dsp::two_pixels<kForm, kUnroll>(tile, patch, packed, out0, out1);
    }
}

template <typename Kind, Form kForm, int kUnroll>
inline void conv2d(const DspConv2dParams& params, const int8_t* input, const int32_t* packed, int8_t* output,
                   uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    const Window& window = params.window;
    for (int32_t n = 0; n < params.batch; ++n) {
        for (int32_t oy = 0; oy < params.output.height; ++oy) {
            Pair origin = {oy * window.stride.y - window.padding.y, -window.padding.x};
            for (int32_t left = params.output.width; left > 0; left -= 2) {
                Kind::widen_window(params, input, origin, slots);
                origin.x += window.stride.x;
                int8_t* second = output;
                if (left > 1) {
                    Kind::widen_window(params, input, origin, slots + 2);
                    origin.x += window.stride.x;
                    second = output + params.tile.channels;
                }
                two_pixels<kForm, kUnroll>(params.tile, slots, packed, output, second);
                output = second + params.tile.channels;
            }
        }
        input += params.input.height * params.input.width * params.input.channels;
    }
}

template <Form kForm, int kUnroll>
inline void pointwise(const DspPointwiseParams& params, const int8_t* input, const int32_t* packed,
                      int8_t* output, uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    for (int32_t left = params.pixels; left > 0; left -= 2) {
        widen(input, params.depth, slots);
        int8_t* second = output;
        if (left > 1) {
            widen(input + params.depth, params.depth, slots + 2);
            second = output + params.tile.channels;
        }
        two_pixels<kForm, kUnroll>(params.tile, slots, packed, output, second);
        input += 2 * params.depth;
        output = second + params.tile.channels;
    }
}

}  // namespace

#define MCU_DSP_CONVOLUTIONS(form, kForm, unroll)                                                     \
    void dsp_conv2d_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,            \
                                       const int32_t* packed, int8_t* output, uint8_t* patch) {       \
        conv2d<Words, kForm, unroll>(params, input, packed, output, patch);                           \
    }                                                                                                 \
    void dsp_conv2d_bytes_##form##_x##unroll(const DspConv2dParams& params, const int8_t* input,      \
                                             const int32_t* packed, int8_t* output, uint8_t* patch) { \
        conv2d<Bytes, kForm, unroll>(params, input, packed, output, patch);                           \
    }                                                                                                 \
    void dsp_pointwise_##form##_x##unroll(const DspPointwiseParams& params, const int8_t* input,      \
                                          const int32_t* packed, int8_t* output, uint8_t* patch) {    \
        pointwise<kForm, unroll>(params, input, packed, output, patch);                               \
    }

MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 0)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 0)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 0)
MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 2)
MCU_DSP_CONVOLUTIONS(relu, Form::kRelu, 4)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 2)
MCU_DSP_CONVOLUTIONS(ties, Form::kTies, 4)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 2)
MCU_DSP_CONVOLUTIONS(bounded, Form::kBounded, 4)

}  // namespace mcu::kernels
