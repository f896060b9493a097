#include "mcu/kernels/copy.h"

#include <cstring>

#include "lines.h"

namespace mcu::kernels {
void copy(const CopyParams& params, const void* input, void* output) {
    const int32_t count = begins_a_line(input) && begins_a_line(output) ? params.bytes / 16 : 0;
    const auto rest = static_cast<uint32_t>(params.bytes - 16 * count);
    const auto* from = static_cast<const Line*>(input);
    auto* to = static_cast<Line*>(output);
    // No line is read after one that it shares bytes with was written.
    if (output > input) {
        std::memmove(static_cast<unsigned char*>(output) + 16 * count,
                     static_cast<const unsigned char*>(input) + 16 * count, rest);
        for (int32_t i = count - 1; i >= 0; --i) {
            to[i] = from[i];
        }
        return;
    }
    for (int32_t i = 0; i < count; ++i) {
        to[i] = from[i];
    }
    std::memmove(static_cast<unsigned char*>(output) + 16 * count,
                 static_cast<const unsigned char*>(input) + 16 * count, rest);
}

}  // namespace mcu::kernels
