#include "mcu/kernels/thumb_add.h"

#include "requantize.h"

namespace mcu::kernels {
namespace {

template <int kPoint>
inline int8_t sum(const DspAddParams& factors, int32_t first, int32_t second) {
    const int32_t fixed = second * factors.second_factor + (first * factors.first_factor + factors.addend);
    return static_cast<int8_t>(thumb::saturate(fixed >> kPoint));
}

template <int kPoint>
void add(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    const DspAddParams factors = params;
    int32_t left = factors.count;
    for (; left >= 2; left -= 2, first += 2, second += 2, output += 2) {
        // The output may be one of the operands, which is why both are made before one is stored.
        const int8_t sums[2] = {sum<kPoint>(factors, first[0], second[0]),
                                sum<kPoint>(factors, first[1], second[1])};
        output[0] = sums[0];
        output[1] = sums[1];
    }
    if (left > 0) {
        *output = sum<kPoint>(factors, *first, *second);
    }
}

}  // namespace

void thumb_add_21_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    add<21>(params, first, second, output);
}

void thumb_add_22_s8(const DspAddParams& params, const int8_t* first, const int8_t* second, int8_t* output) {
    add<22>(params, first, second, output);
}

}  // namespace mcu::kernels
