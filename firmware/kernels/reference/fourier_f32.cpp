#include "mcu/kernels/fourier_f32.h"

namespace mcu::kernels {
namespace {

struct Complex {
    float real;
    float imaginary;
};

Complex product(Complex a, Complex b) {
    return {a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real};
}

// Pairs of windowed samples, in the order of their reversed bits.
void load(const float* input, const float* window, int32_t count, Complex* values) {
    int32_t reversed = 0;
    for (int32_t i = 0; i < count; ++i) {
        values[reversed] = {input[2 * i] * window[2 * i], input[2 * i + 1] * window[2 * i + 1]};
        int32_t bit = count >> 1;
        while ((reversed & bit) != 0) {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
    }
}

// The transform of `count` complex numbers in place; every second of `turns` is theirs.
void transform(Complex* values, int32_t count, const Complex* turns) {
    for (int32_t span = 1; span < count; span *= 2) {
        for (int32_t first = 0; first < count; first += 2 * span) {
            for (int32_t k = 0; k < span; ++k) {
                Complex& low = values[first + k];
                Complex& high = values[first + k + span];
                const Complex turned = product(high, turns[k * (count / span)]);
                high = {low.real - turned.real, low.imaginary - turned.imaginary};
                low = {low.real + turned.real, low.imaginary + turned.imaginary};
            }
        }
    }
}

// Bin k of the samples, from bins k and half - k of their pairs.
Complex bin_of(const Complex* values, int32_t half, int32_t k, const Complex* turns) {
    const Complex a = values[k == half ? 0 : k], b = values[k == 0 ? 0 : half - k];
    const Complex even = {(a.real + b.real) * 0.5f, (a.imaginary - b.imaginary) * 0.5f};
    const Complex odd = {(a.imaginary + b.imaginary) * 0.5f, (b.real - a.real) * 0.5f};
    const Complex turned = product(odd, k == half ? Complex{-1.0f, 0.0f} : turns[k]);
    return {even.real + turned.real, even.imaginary + turned.imaginary};
}

}  // namespace

void fourier_f32(const FourierParams& params, const float* input, const float* window, const float* turns,
                 float* output, uint8_t* scratch) {
    const int32_t half = params.size / 2;
    auto* const values = reinterpret_cast<Complex*>(scratch);
    const auto* const steps = reinterpret_cast<const Complex*>(turns);
    for (int32_t line = 0; line < params.lines; ++line) {
        for (int32_t frame = 0; frame < params.frames; ++frame) {
            load(input + line * params.samples + frame * params.hop, window, half, values);
            transform(values, half, steps);
            float* const to = output + line * params.line_stride + frame * params.frame_stride;
            for (int32_t k = 0; k <= half; ++k) {
                const Complex bin = bin_of(values, half, k, steps);
                to[k * params.bin_stride] = bin.real;
                to[(params.bins + k) * params.bin_stride] = bin.imaginary;
                if (params.bins == params.size && k != 0 && k != half) {
                    to[(params.size - k) * params.bin_stride] = bin.real;
                    to[(params.bins + params.size - k) * params.bin_stride] = -bin.imaginary;
                }
            }
        }
    }
}

}  // namespace mcu::kernels
