#include "mcu/kernels/linear_w4.h"

#include "mcu/kernels/tiles_w4.h"

namespace mcu::kernels {
namespace {

struct PortableW4 {
    static constexpr int kRows = 2;
    static constexpr int kOutputs = 1;
    static constexpr int kGroupedOutputs = 1;
    template <int O>
    using Last = tiles_w4::Last<O>;

    template <int R, int O>
    static inline void block(const int8_t* const (&x)[R], const uint8_t* const (&w)[O],
                             int32_t (&sums)[R][O]) {
        rest<R, O>(x, w, kBlockW4, sums);
    }

    template <int R, int O>
    static inline void rest(const int8_t* const (&x)[R], const uint8_t* const (&w)[O], int32_t count,
                            int32_t (&sums)[R][O]) {
        tiles_w4::rest(x, w, count, sums);
    }
};

}  // namespace

MCU_TILES_W4(PortableW4)

}  // namespace mcu::kernels
