// An application of one's own around two models, which share one arena: which digit is this, and
// which pump is worn?

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "digits.h"
#include "mcu/platform.h"
#include "mcu/text.h"
#include "pump.h"

namespace {

constexpr float kPi = 3.14159265f;
// Mean squared error of the reconstruction: a healthy pump's is near 0.003, a worn one's near 0.3.
constexpr float kWorn = 0.05f;

// One of the digits that the model has not seen in training: 8x8 grey values from 0 to 16.
constexpr std::array<uint8_t, 64> kSix = {
    0, 0, 0,  9,  8,  0,  0,  0,  //
    0, 0, 1,  16, 2,  0,  0,  0,  //
    0, 0, 6,  14, 0,  0,  0,  0,  //
    0, 0, 9,  11, 0,  3,  0,  0,  //
    0, 0, 13, 8,  13, 13, 10, 0,  //
    0, 0, 12, 16, 8,  0,  13, 1,  //
    0, 0, 6,  16, 5,  9,  13, 0,  //
    0, 0, 0,  8,  15, 14, 4,  0,  //
};

size_t read_digit(std::span<const uint8_t, 64> image) {
    std::ranges::transform(image, digits::input().begin(), [](uint8_t grey) { return grey / 16.0f; });
    digits::run();
    const std::span<float> scores = digits::output();
    return static_cast<size_t>(std::ranges::max_element(scores) - scores.begin());
}

// A stand-in for the sensor: a tone with its overtone; wear adds a hum.
std::array<float, 64> vibration(bool worn) {
    std::array<float, 64> signal;
    for (size_t i = 0; i < signal.size(); ++i) {
        const float step = 2 * kPi * static_cast<float>(i) / 64;
        signal[i] = std::sin(3 * step + 1) + 0.4f * std::sin(6 * step + 2) +
                    (worn ? 0.8f * std::sin(17 * step) : 0.0f);
    }
    return signal;
}

// How far the model's reconstruction is from what was measured.
float strangeness(std::span<const float, 64> signal) {
    std::ranges::copy(signal, pump::input().begin());
    pump::run();
    float sum = 0;
    for (size_t i = 0; i < signal.size(); ++i) {
        const float difference = pump::output()[i] - signal[i];
        sum += difference * difference;
    }
    return sum / static_cast<float>(signal.size());
}

void report(std::string_view name, bool worn) {
    const float error = strangeness(vibration(worn));
    mcu::Text line;
    line.add(name).add(": error ").decimal(static_cast<uint32_t>(error * 1000)).add(" / 1000, ");
    line.add(error > kWorn ? "worn\n" : "healthy\n");
    mcu::platform::write_console(line.view());
}

}  // namespace

int main() {
    mcu::Text line;
    line.add("digit: ").decimal(static_cast<uint32_t>(read_digit(kSix))).add("\n");
    mcu::platform::write_console(line.view());
    report("first pump", false);
    report("second pump", true);
    return 0;
}
