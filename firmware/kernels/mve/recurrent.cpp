#include "mcu/kernels/recurrent.h"

#include "recurrent_units.h"

namespace mcu::kernels {
namespace {

#define MVE_PRODUCT(sum, row) "vldrb.u8 q6, [%[" #row "]], #16\n vmladava.s8 %[" #sum "], q7, q6\n"

// Sixteen products of each of four rows in ten instructions, the last vector predicated.
struct Helium : mve::RecurrentUnits<int8_t> {
    using Weight = int8_t;

    static recurrent::FourSums four_sums(const int8_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        int32_t a, b, c, d;
        // Of the last rows, those that are not there are the first of them once more.
        const int8_t* first = weights;
        const int8_t* second = rows > 1 ? weights + count : weights;
        const int8_t* third = rows > 2 ? weights + 2 * count : weights;
        const int8_t* fourth = rows > 3 ? weights + 3 * count : weights;
        __asm__ volatile(
            "dlstp.8 lr, %[n]\n mov %[a], #0\n mov %[b], #0\n mov %[c], #0\n mov %[d], #0\n"
            "1: vldrb.u8 q7, [%[x]], #16\n" MVE_PRODUCT(a, first) MVE_PRODUCT(b, second) MVE_PRODUCT(c, third)
                MVE_PRODUCT(d, fourth) "letp lr, 1b\n"
            : [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [x] "+r"(values),
              [first] "+r"(first), [second] "+r"(second), [third] "+r"(third), [fourth] "+r"(fourth)
            : [n] "r"(count)
            : "q6", "q7", "lr", "memory");
        weights += rows < 4 ? rows * count : 4 * count;
        return {{a, b, c, d}};
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S8, Helium)

}  // namespace mcu::kernels
