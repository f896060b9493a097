// Watches a motor: a window of samples, an inference, a word. With no sensor at hand the motor is made up
// here.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mcu/platform.h"
#include "mcu/text.h"
#include "vibration.h"

namespace {

constexpr float kTurn = 6.2831853F;
constexpr float kRate = 1600.0F;

uint32_t seed = 1;

// In place of a driver that fills the buffer by DMA: rotation and its harmonics, and what a worn bearing
// adds.
void read_sensor(std::span<float> samples, bool worn) {
    constexpr float kSpeed = 50.0F;
    for (size_t index = 0; index < samples.size(); ++index) {
        const float time = static_cast<float>(index) / kRate;
        const float turn = kTurn * kSpeed * time;
        float wave = std::sin(turn) + 0.4F * std::sin(2 * turn) + 0.2F * std::sin(3 * turn) +
                     0.1F * std::sin(4 * turn);
        if (worn) {
            const float passages = time * kSpeed * 3.6F;
            const float since = (passages - std::floor(passages)) / (kSpeed * 3.6F);
            wave += 0.8F * std::exp(-600.0F * since) * std::sin(kTurn * 520.0F * since);
        }
        // Noise of a generator that gives the same on each run.
        seed = seed * 1664525U + 1013904223U;
        samples[index] = wave + 0.17F * (static_cast<float>(seed >> 8) / 16777216.0F - 0.5F);
    }
}

}  // namespace

int main() {
    for (int window = 0; window < 4; ++window) {
        read_sensor(vibration::input(), window >= 2);
        vibration::run();
        const float score = vibration::output()[0];
        mcu::Text line;
        line.add(score > 1.0F ? "anomaly" : "normal").add(", score in hundredths ");
        line.decimal(static_cast<uint32_t>(100.0F * score)).add("\n");
        mcu::platform::write_console(line.view());
    }
    return 0;
}
