#include "mcu/kernels/recurrent_s16.h"

#include "dots_s16.h"
#include "recurrent_units.h"

namespace mcu::kernels {
namespace {

// Eight products of each of four rows at a time.
struct Helium : mve::RecurrentUnits<int16_t> {
    using Weight = int8_t;

    static recurrent::FourSums four_sums(const int16_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        return recurrent::four_rows<mve::DotsS16>(values, count, weights, rows);
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S16, Helium)

}  // namespace mcu::kernels
