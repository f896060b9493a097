#include "mcu/kernels/recurrent.h"

#include "../reference/recurrent_loop.h"

namespace mcu::kernels {
namespace {

#define THUMB_PRODUCT(sum, row) "ldrsb %[t], [%[" #row "]], #1\nmla %[" #sum "], %[t], %[v], %[" #sum "]\n"
#define THUMB_VALUE                                                                                     \
    "ldrsb %[v], [%[x]], #1\n" THUMB_PRODUCT(a, first) THUMB_PRODUCT(b, second) THUMB_PRODUCT(c, third) \
        THUMB_PRODUCT(d, fourth)

// Four rows: 9 instructions for 4 products, 10.5 with the loop.
struct Thumb2 {
    using Value = int8_t;
    using Weight = int8_t;
    static constexpr bool kByVectors = false;

    static recurrent::FourSums four_sums(const int8_t* values, int32_t count, const int8_t*& weights,
                                         int32_t rows) {
        int32_t a = 0, b = 0, c = 0, d = 0, t, v;
        // Of the last rows, those that are not there are the first of them once more.
        const int8_t* first = weights;
        const int8_t* second = rows > 1 ? weights + count : weights;
        const int8_t* third = rows > 2 ? weights + 2 * count : weights;
        const int8_t* fourth = rows > 3 ? weights + 3 * count : weights;
        const int8_t* const odd = values + (count & 1);
        const int8_t* const end = values + count;
        while (values != odd) {
            __asm__(THUMB_VALUE
                    : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(values),
                      [first] "+r"(first), [second] "+r"(second), [third] "+r"(third), [fourth] "+r"(fourth),
                      [t] "=&r"(t), [v] "=&r"(v)
                    :
                    : "memory");
        }
        while (values != end) {
            __asm__(THUMB_VALUE THUMB_VALUE
                    : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(values),
                      [first] "+r"(first), [second] "+r"(second), [third] "+r"(third), [fourth] "+r"(fourth),
                      [t] "=&r"(t), [v] "=&r"(v)
                    :
                    : "memory");
        }
        weights += rows < 4 ? rows * count : 4 * count;
        return {{a, b, c, d}};
    }
};

}  // namespace

MCU_RECURRENT(MCU_RECURRENT_S8, Thumb2)

}  // namespace mcu::kernels
