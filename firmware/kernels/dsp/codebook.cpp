// Four products, and the sum of their weights, which the input's offset multiplies, with four SMLAD.

#include "mcu/kernels/codebook.h"

#include <arm_acle.h>

#include "mcu/kernels/codebook_layers.h"
#include "words.h"

namespace mcu::kernels {
namespace {

struct Dsp {
    static void decode(const uint8_t* codes, const int8_t* table, int32_t count, int8_t* decoded) {
        codebook::decode(codes, table, count, decoded);
    }

    static int32_t dot(const int8_t* input, const int8_t* weights, int32_t count, int32_t input_offset) {
        constexpr int32_t kOnes = 0x00010001;
        int32_t sum = 0;
        int32_t total = 0;
        int32_t i = 0;
        for (; i + 4 <= count; i += 4) {
            const int32_t x = dsp::load_word(input + i);
            const int32_t w = dsp::load_word(weights + i);
            const int32_t even = dsp::even_bytes(w);
            const int32_t odd = dsp::odd_bytes(w);
            sum = __smlad(dsp::even_bytes(x), even, sum);
            sum = __smlad(dsp::odd_bytes(x), odd, sum);
            total = __smlad(kOnes, even, total);
            total = __smlad(kOnes, odd, total);
        }
        for (; i < count; ++i) {
            sum += input[i] * weights[i];
            total += weights[i];
        }
        return sum + input_offset * total;
    }
};

}  // namespace

MCU_CODEBOOK(Dsp)

}  // namespace mcu::kernels
