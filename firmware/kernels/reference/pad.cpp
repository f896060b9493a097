#include "pad_lines.h"

namespace mcu::kernels {
namespace {

struct Portable {
    template <typename Bits>
    static void fill(int8_t* to, Bits value, int32_t count) {
        for (int32_t i = 0; i < count; ++i) {
            // As bytes: the tensor's own type may be another of this size.
            std::memcpy(to, &value, sizeof value);
            to += sizeof value;
        }
    }
    static void copy(int8_t* to, const int8_t* from, int32_t bytes) {
        std::memcpy(to, from, static_cast<size_t>(bytes > 0 ? bytes : 0));
    }
};

}  // namespace

MCU_PAD(Portable)

}  // namespace mcu::kernels
