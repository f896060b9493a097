// Maximum and average over windows of int16 images [batch][height][width][channels].
//
//   max_pool2d_s16: the largest element of a window inside the image
//   avg_pool2d_s16: clamp(rounded(sum, multipliers[count], shift)), of the `count` elements inside the image
//
// multipliers[1 ... window.size.y * window.size.x] hold the change of scale divided by the count. Exact
// (round_s16.h), equal to mcu_build::max_pool2d_s16 and avg_pool2d_s16. A window has less than 2^16 elements.
// Inner loop: one element at a time.

#pragma once

#include "mcu/kernels/image.h"
#include "mcu/kernels/round_s16.h"

namespace mcu::kernels {

struct PoolS16Params {
    int32_t batch;
    ImageSize input;
    ImageSize output;
    Window window;
    int32_t shift;
};

// The last step of a sum over `count` elements: in 32 bits where that is exact.
class AverageS16 {
public:
    AverageS16(const PoolS16Params& params, const int32_t* multipliers, int32_t count)
        : multiplier_(multipliers[count]),
          shift_(params.shift),
          scale_(high_scale(multiplier_, shift_)),
          is_high_(fits_high_scale(count << 15, shift_)) {}

    int16_t operator()(int32_t sum) const {
        return is_high_ ? saturated_s16(rounded_high(sum, scale_))
                        : saturated_s16(rounded(sum, multiplier_, shift_));
    }

    bool is_high() const { return is_high_; }
    const HighScale& scale() const { return scale_; }

private:
    int32_t multiplier_;
    int32_t shift_;
    HighScale scale_;
    bool is_high_;
};

// What window_runs.h does with one element at a time.
struct OneMaximumS16 {
    static constexpr int32_t kTogether = 1;

    static int32_t start() { return -32768; }
    static int32_t add(int32_t found, const int16_t* from) { return *from > found ? *from : found; }
    static void finish(int32_t found, int16_t* to) { *to = static_cast<int16_t>(found); }
};

struct OneAverageS16 {
    static constexpr int32_t kTogether = 1;
    AverageS16 average;

    static int32_t start() { return 0; }
    static int32_t add(int32_t sum, const int16_t* from) { return sum + *from; }
    void finish(int32_t sum, int16_t* to) const { *to = average(sum); }
};

void max_pool2d_s16(const PoolS16Params& params, const int16_t* input, int16_t* output);
void avg_pool2d_s16(const PoolS16Params& params, const int16_t* input, const int32_t* multipliers,
                    int16_t* output);

}  // namespace mcu::kernels
