// Windowed Fourier transforms of real float signals, of a power of two of samples: a product with cosines and
// sines of which only the result is kept.
//
//   output[l, k, f]        =   sum over t of window[t] input[l, f hop + t] cos(2 pi k t / size)
//   output[l, bins + k, f] = - sum over t of window[t] input[l, f hop + t] sin(2 pi k t / size)
//
// Two neighbouring samples are one complex number; these are transformed by butterflies of two (decimation in
// time, in order of their span), and the two halves of the result are taken apart. `turns` are cos and -sin
// of 2 pi k / size for k < size / 2, in turns. bins are size / 2 + 1 or size. One rounding for each
// operation, in the order written. Scratch: 4 bytes a sample of the window.
//
// 5 / 2 size log2(size) operations for each frame, and 8 for each bin.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct FourierParams {
    int32_t lines;
    int32_t samples;  // from one line to the next
    int32_t frames;
    int32_t size;  // a power of two, 4 at least
    int32_t hop;
    int32_t bins;
    int32_t line_stride;  // of the output; the same below
    int32_t bin_stride;
    int32_t frame_stride;
};

void fourier_f32(const FourierParams& params, const float* input, const float* window, const float* turns,
                 float* output, uint8_t* scratch);

}  // namespace mcu::kernels
