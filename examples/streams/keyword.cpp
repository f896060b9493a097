// Words from a microphone: blocks of 16-bit samples, as I2S gives them, are steps of the stream.
//
// The microphone is made up here: it says two words. On a board `Microphone::read` waits for the half of a
// DMA buffer that I2S has filled, or decimates what a PDM microphone gives.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "mcu/platform.h"
#include "wake.h"

namespace {

constexpr std::array<std::string_view, 4> kWords = {"noise", "rising", "falling", "double"};
constexpr float kRate = 8000.0F;
constexpr float kFullScale = 32768.0F;

// A voice of 140 Hz, whose formant glides from one frequency to another, in some noise.
class Microphone {
public:
    Microphone(float from, float to, size_t samples) : from_(from), to_(to), samples_(samples) {}

    void read(std::span<int16_t> block) {
        for (int16_t& sample : block) {
            sample = static_cast<int16_t>(std::clamp(next(), -0.99F, 0.99F) * kFullScale);
        }
    }

private:
    float next() {
        constexpr float kVoice = 140.0F;
        const float part = static_cast<float>(time_++) / static_cast<float>(samples_);
        const float within = (part - 0.25F) / 0.45F;
        seed_ = seed_ * 1664525U + 1013904223U;
        float sound = 0.06F * (static_cast<float>(seed_ >> 8) / 16777216.0F - 0.5F);
        turn_ = std::fmod(turn_ + 6.2831853F * kVoice / kRate, 6.2831853F);
        for (int harmonic = 1; within > 0.0F && within < 1.0F && harmonic < 25; ++harmonic) {
            const float frequency = static_cast<float>(harmonic) * kVoice;
            const float distance = (frequency - from_ - (to_ - from_) * within) / 250.0F;
            sound += 0.1F * std::exp(-distance * distance) * std::sin(static_cast<float>(harmonic) * turn_);
        }
        return sound;
    }

    float from_;
    float to_;
    size_t samples_;
    size_t time_ = 0;
    float turn_ = 0.0F;
    uint32_t seed_ = 1;
};

std::string_view heard(Microphone& microphone) {
    wake::reset();
    std::array<int16_t, wake::hop> block{};
    for (size_t step = 0; step < wake::first_result; ++step) {
        microphone.read(block);
        std::ranges::transform(block, wake::input().begin(),
                               [](int16_t sample) { return static_cast<float>(sample) / kFullScale; });
        wake::run();
    }
    const auto scores = wake::output();
    return kWords[static_cast<size_t>(std::ranges::max_element(scores) - scores.begin())];
}

}  // namespace

int main() {
    constexpr size_t kSamples = wake::hop * wake::first_result;
    for (const auto& [from, to] : {std::pair{500.0F, 2300.0F}, std::pair{2300.0F, 500.0F}}) {
        Microphone microphone(from, to, kSamples);
        mcu::platform::write_console(heard(microphone));
        mcu::platform::write_console("\n");
    }
    return 0;
}
