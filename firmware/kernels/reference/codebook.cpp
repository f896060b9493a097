#include "mcu/kernels/codebook.h"

#include "mcu/kernels/codebook_layers.h"

namespace mcu::kernels {
namespace {

struct Portable {
    static void decode(const uint8_t* codes, const int8_t* table, int32_t count, int8_t* decoded) {
        codebook::decode(codes, table, count, decoded);
    }

    static int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
        int32_t sum = 0;
        for (int32_t i = 0; i < count; ++i) {
            sum += (input[i] + input_offset) * weights[i];
        }
        return sum;
    }
};

}  // namespace

MCU_CODEBOOK(Portable)

}  // namespace mcu::kernels
