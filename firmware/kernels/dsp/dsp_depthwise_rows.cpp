#include "mcu/kernels/dsp_depthwise_rows.h"

#include "words.h"

namespace mcu::kernels {
namespace {

constexpr int32_t kTogether = 4;  // places for channels, and outputs of a core's block

// Four channels of two columns as pairs.
inline int32_t* put_pair(int32_t first, int32_t second, int32_t* to) {
    int32_t low, high;
    __asm__("pkhbt %0, %2, %3, lsl #16\npkhtb %1, %3, %2, asr #16\n"
            : "=&r"(low), "=r"(high)
            : "r"(first), "r"(second));
    to[0] = dsp::even_bytes(low);
    to[1] = dsp::odd_bytes(low);
    to[2] = dsp::even_bytes(high);
    to[3] = dsp::odd_bytes(high);
    return to + kTogether;
}

// A row of the image, four channels from `row` on. What stands beside it is padding already.
inline __attribute__((always_inline)) void widen_row(const DspDepthwiseRowsParams& params, const int8_t* row,
                                                     int32_t* to) {
    const int32_t channels = params.input.channels;
    to += kTogether * params.lead;
#pragma GCC unroll 1
    for (int32_t left = params.whole; left > 0; --left) {
        to = put_pair(dsp::load_word(row), dsp::load_word(row + channels), to);
        row += 2 * channels;
    }
    if (params.half) {
        put_pair(dsp::load_word(row), static_cast<uint8_t>(params.pad_value) * 0x01010101, to);
    }
}

// The same for less than four channels.
__attribute__((noinline)) void widen_few(const DspDepthwiseRowsParams& params, const int8_t* row,
                                         int32_t* to) {
    const int32_t channels = params.input.channels;
    to += kTogether * params.lead;
#pragma GCC unroll 1
    for (int32_t left = params.whole + (params.half ? 1 : 0); left > 0; --left) {
        const bool half = params.half && left == 1;
        for (int32_t lane = 0; lane < params.lanes; ++lane) {
            const int32_t second = half ? params.pad_value : row[channels + lane];
            to[lane] = (row[lane] & 0xFFFF) | static_cast<int32_t>(static_cast<uint32_t>(second) << 16);
        }
        row += 2 * channels;
        to += kTogether;
    }
}

// A row of the output of each group of those that are widened, whose channels have the rows of `all`.
__attribute__((noinline)) void run_groups(const DspDepthwiseRowsParams& params, DspDepthwiseCore core,
                                          const DspDepthwiseRow& all) {
    const int32_t rows = params.window.size.y;
    const int32_t words = params.outputs * params.record;
    DspDepthwiseRow row = all;
    for (int32_t lane = 0; row.packed != all.packed_end; lane += params.depth) {
        int32_t** to = row.rows;
        for (int32_t d = 0; d < params.depth; ++d) {
            for (int32_t k = 0; k < rows; ++k) {
                *to++ = all.rows[k] + lane + d;
            }
        }
        row.end = to[-1] + (all.end - all.rows[rows - 1]);
        row.packed_end = row.packed + words;
        row.base = row.output;
        core(row);
        row.output += params.outputs;
        row.packed += words;
    }
}

__attribute__((noinline)) void fill(int32_t words, int32_t pad, int32_t* to) {
#pragma GCC unroll 1
    for (; words > 0; --words) {
        *to++ = (pad & 0xFFFF) * 0x10001;
    }
}

// All rows of all channels. kGroups: of less than four, or by groups.
template <bool kGroups>
inline __attribute__((always_inline)) void run(const DspDepthwiseRowsParams& params, DspDepthwiseCore core,
                                               const int8_t* input, const int32_t* packed, int8_t* output,
                                               uint8_t* slots) {
    const int32_t lanes = kGroups ? params.lanes : kTogether;
    const bool by_groups = kGroups && params.depth * params.outputs > 1;
    const ImageSize& size = params.input;
    const int32_t rows = params.window.size.y;
    const int32_t pitch = kTogether * params.pairs;
    const int32_t line = size.width * size.channels;
    const int32_t blocks = params.output.x / kTogether * (2 * kTogether * params.window.stride.x);
    fill(rows * pitch, params.pad_value, reinterpret_cast<int32_t*>(slots));
    DspDepthwiseRow row;
    const int32_t pixel = kGroups ? size.channels / params.depth * params.outputs : size.channels;
    row.bounds = params.bounds;
    row.back = static_cast<int32_t>(sizeof(int32_t)) * (blocks - (by_groups ? 0 : 1));
    for (int32_t n = 0; n < params.batch; ++n) {
        row.packed = packed;
        for (int32_t channel = 0; channel < size.channels; channel += lanes) {
            // The last four are read together, and those among them made that are left.
            const int32_t left = size.channels - channel;
            const int32_t skipped = left < lanes ? lanes - left : 0;
            const int32_t groups = (lanes - skipped) / (kGroups ? params.depth : 1);
            row.packed_end = row.packed + groups * (kGroups ? params.outputs : 1) * params.record;
            int32_t* slot = reinterpret_cast<int32_t*>(slots) + skipped;
            for (int32_t k = 0; k < rows; ++k, slot += pitch) {
                row.rows[k] = slot;
            }
            int32_t next = -params.window.padding.y;
            int32_t top = next;
            const int8_t* image = input + next * line + channel - skipped;
            row.output = output + (kGroups ? channel / params.depth * params.outputs : channel);
            for (int32_t oy = params.output.y; oy > 0; --oy, top += params.window.stride.y) {
                for (; next < top + rows; ++next, image += line) {
                    int32_t* const oldest = row.rows[0];
#pragma GCC unroll 1
                    for (int32_t k = 1; k < rows; ++k) {
                        row.rows[k - 1] = row.rows[k];
                    }
                    row.rows[rows - 1] = oldest;
                    if (next < top) {
                        continue;
                    }
                    if (static_cast<uint32_t>(next) >= static_cast<uint32_t>(size.height)) {
                        fill(pitch, params.pad_value, oldest - skipped);
                    } else if (!kGroups || lanes == kTogether) {
                        widen_row(params, image, oldest - skipped);
                    } else {
                        widen_few(params, image, oldest);
                    }
                }
                row.end = row.rows[rows - 1] + blocks;
                row.base = row.output;
                if (by_groups) {
                    run_groups(params, core, row);
                } else {
                    core(row);
                }
                row.output += params.output.x * pixel;
            }
            row.packed = row.packed_end;
        }
        input += size.height * line;
        output += params.output.y * params.output.x * pixel;
    }
}

}  // namespace

#define MCU_DSP_ROWS(name, kGroups)                                                             \
    void name(const DspDepthwiseRowsParams& params, DspDepthwiseCore core, const int8_t* input, \
              const int32_t* packed, int8_t* output, uint8_t* slots) {                          \
        run<kGroups>(params, core, input, packed, output, slots);                               \
    }
MCU_DSP_ROWS(dsp_depthwise_rows, false)
MCU_DSP_ROWS(dsp_group_rows, true)

}  // namespace mcu::kernels
