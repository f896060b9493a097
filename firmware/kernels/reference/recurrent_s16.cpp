#include "mcu/kernels/recurrent_s16.h"

#include "recurrent_loop.h"

namespace mcu::kernels {
namespace {

struct Portable {
    using Value = int16_t;
    using Weight = int8_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int16_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        return recurrent::four_rows<recurrent::Dots>(values, count, weights, rows);
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S16, Portable)

}  // namespace mcu::kernels
