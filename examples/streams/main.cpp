// Gestures from a stream: an interrupt puts samples into a ring buffer, main takes them out, one a step.
//
// The sensor is made up here: a hand that rests, shakes and rests again. On a board the handler is that of
// the sensor's data-ready line or of a DMA transfer, and reads its registers.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "gesture.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace {

constexpr size_t kAxes = GESTURE_INPUT_SIZE;
using Sample = std::array<float, kAxes>;

// One writer, one reader: each moves an index of its own.
template <size_t kSize>
class Ring {
    static_assert((kSize & (kSize - 1)) == 0);

public:
    bool put(const Sample& sample) {
        const uint32_t end = end_.load(std::memory_order_relaxed);
        if (end - begin_.load(std::memory_order_acquire) == kSize) {
            return false;
        }
        samples_[end % kSize] = sample;
        end_.store(end + 1, std::memory_order_release);
        return true;
    }

    bool take(std::span<float> to) {
        const uint32_t begin = begin_.load(std::memory_order_relaxed);
        if (begin == end_.load(std::memory_order_acquire)) {
            return false;
        }
        std::ranges::copy(samples_[begin % kSize], to.begin());
        begin_.store(begin + 1, std::memory_order_release);
        return true;
    }

private:
    std::array<Sample, kSize> samples_{};
    std::atomic<uint32_t> begin_{0};
    std::atomic<uint32_t> end_{0};
};

constexpr uint32_t kRest = 64;
constexpr uint32_t kSamples = 3 * kRest;
constexpr std::array<std::string_view, 4> kNames = {"still", "shake", "circle", "tilt"};

Ring<16> ring;
std::atomic<uint32_t> lost{0};

// Rest, shake, rest: gravity on the third axis, and the first one thrown to and fro.
Sample sensor(uint32_t time) {
    Sample sample{};
    sample[2] = 1.0F;
    if (time / kRest == 1) {
        sample[0] = (time / 3) % 2 == 0 ? 1.2F : -1.2F;
    }
    return sample;
}

void start_interrupts() {
    constexpr uintptr_t kSysTick = 0xE000E010;
    constexpr uint32_t kCycles = 400'000;
    volatile auto* const timer = reinterpret_cast<volatile uint32_t*>(kSysTick);
    timer[1] = kCycles - 1;
    timer[2] = 0;
    timer[0] = 7;
}

}  // namespace

extern "C" void SysTick_Handler() {
    static uint32_t time = 0;
    if (time < kSamples && !ring.put(sensor(time++))) {
        lost.fetch_add(1, std::memory_order_relaxed);
    }
}

int main() {
    gesture::reset();
    start_interrupts();
    for (uint32_t step = 0; step < kSamples;) {
        if (!ring.take(gesture::input())) {
            continue;  // on a board: sleep until the next interrupt
        }
        gesture::run();
        if (++step % kRest != 0) {
            continue;
        }
        const std::span<const float> scores = gesture::output();
        const auto found = static_cast<size_t>(std::ranges::max_element(scores) - scores.begin());
        mcu::platform::write_console(kNames[found]);
        mcu::platform::write_console("\n");
        gesture::reset();  // the next gesture begins anew
    }
    mcu::platform::write_console(lost.load() == 0 ? "done\n" : "samples were lost\n");
    return 0;
}
