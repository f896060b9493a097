#include "mcu/kernels/recurrent.h"

#include "recurrent_loop.h"

namespace mcu::kernels {
namespace {

// Four rows as they are, so that a value is loaded once for four products.
struct Portable {
    using Value = int8_t;
    using Weight = int8_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int8_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        int32_t a = 0, b = 0, c = 0, d = 0;
        // Of the last rows, those that are not there are the first of them once more.
        const int32_t second = rows > 1 ? count : 0, third = rows > 2 ? 2 * count : 0;
        const int32_t fourth = rows > 3 ? 3 * count : 0;
        const int8_t* at = weights;
        for (const int8_t* const end = weights + count; at != end; ++at, ++values) {
            a += *values * *at;
            b += *values * at[second];
            c += *values * at[third];
            d += *values * at[fourth];
        }
        weights += rows < 4 ? rows * count : 4 * count;
        return {{a, b, c, d}};
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S8, Portable)

}  // namespace mcu::kernels
