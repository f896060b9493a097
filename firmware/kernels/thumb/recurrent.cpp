#include "mcu/kernels/recurrent.h"

#include "../reference/recurrent_loop.h"
#include "four_rows.h"

namespace mcu::kernels {
namespace {

// Four rows by the linear layer's sums, eight values at a time.
struct Thumb {
    using Value = int8_t;
    using Weight = int8_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int8_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        const int32_t together = count & ~7;
        // Of the last rows, those that are not there are the first of them once more.
        const int32_t second = rows > 1 ? count : 0, third = rows > 2 ? 2 * count : 0;
        const int32_t fourth = rows > 3 ? 3 * count : 0;
        const int8_t* const end = weights + together;
        thumb::FourRows found = {
            {-together, values + together, {end, end + second, end + third, end + fourth}}};
        if (together != 0) {
            thumb::four_sums(&found);
        } else {
            found = {.sums = {0, 0, 0, 0}};
        }
        const int32_t starts[4] = {0, second, third, fourth};
        for (int32_t row = 0; row < 4; ++row) {
            for (int32_t at = together; at < count; ++at) {
                found.sums[row] += values[at] * weights[starts[row] + at];
            }
        }
        weights += rows < 4 ? rows * count : 4 * count;
        return {{found.sums[0], found.sums[1], found.sums[2], found.sums[3]}};
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S8, Thumb)

}  // namespace mcu::kernels
