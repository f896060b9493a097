#include "mcu/kernels/thumb_linear.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

// Operands of four sums, and where those go.
union FourRows {
    struct {
        int32_t first;       // minus the number of inputs
        const int8_t* ends;  // of the input, and of four rows of weights
        const int8_t* rows[4];
    } in;
    int32_t sums[4];
};

// One input of four outputs: 14 instructions for 4 products.
#define THUMB_OUTPUT(row, sum) "ldrsb r7, [" row ", r1]\nmuls r7, r0\nadd " sum ", r7\n"
#define THUMB_INPUT                                                                                    \
    "ldrsb r0, [r2, r1]\n" THUMB_OUTPUT("r3", "r8") THUMB_OUTPUT("r4", "r9") THUMB_OUTPUT("r5", "r10") \
        THUMB_OUTPUT("r6", "r11") "adds r1, r1, #1\n"

// Sums over a multiple of eight inputs. It takes all eight low registers, of which no compiler gives the
// last.
__attribute__((naked, noinline)) void four_sums(FourRows*) {
    __asm__ volatile(
        ".syntax unified\n"
        "push {r4, r5, r6, r7, lr}\nmov r4, r8\nmov r5, r9\nmov r6, r10\nmov r7, r11\n"
        "push {r4, r5, r6, r7}\nmov r12, r0\nldm r0!, {r1, r2, r3, r4, r5, r6}\n"
        "movs r7, #0\nmov r8, r7\nmov r9, r7\nmov r10, r7\nmov r11, r7\n"
        "1:\n" THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT THUMB_INPUT
        "bne 1b\n"
        "mov r0, r12\nmov r1, r8\nmov r2, r9\nmov r3, r10\nmov r4, r11\nstm r0!, {r1, r2, r3, r4}\n"
        "pop {r4, r5, r6, r7}\nmov r8, r4\nmov r9, r5\nmov r10, r6\nmov r11, r7\npop {r4, r5, r6, r7, pc}\n");
}

template <Form kForm>
inline void row_of(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    const DspBounds bounds = params.bounds;
    const int32_t inputs = params.inputs;
    const int32_t together = inputs & ~7;
    const auto* row = reinterpret_cast<const int8_t*>(packed);
    for (int32_t left = params.outputs; left > 0; left -= 4) {
        const int8_t* const end = row + together;
        FourRows rows = {
            {-together, input + together, {end, end + inputs, end + 2 * inputs, end + 3 * inputs}}};
        if (together != 0) {
            four_sums(&rows);
        } else {
            rows = {.sums = {0, 0, 0, 0}};
        }
        const auto* scale = reinterpret_cast<const DspScale*>(row + 4 * inputs);
        for (int32_t i = 0; i < 4 && i < left; ++i, ++scale, row += inputs) {
            int32_t sum = rows.sums[i];
            for (int32_t at = together; at < inputs; ++at) {
                sum += input[at] * row[at];
            }
            *output++ = thumb::rescale<kForm>(sum, *scale, bounds);
        }
        row += 4 * sizeof(DspScale);
    }
}

template <Form kForm>
inline void linear(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed,
                   int8_t* output) {
    for (int32_t row = params.rows; row > 0; --row) {
        row_of<kForm>(params, input, packed, output);
        input += params.inputs;
        output += params.outputs;
    }
}

}  // namespace

#define MCU_THUMB_LINEAR(form, kForm)                                                                     \
    void thumb_linear_##form(const ThumbLinearParams& params, const int8_t* input, const int32_t* packed, \
                             int8_t* output) {                                                            \
        linear<kForm>(params, input, packed, output);                                                     \
    }

MCU_THUMB_LINEAR(relu, Form::kRelu)
MCU_THUMB_LINEAR(ties, Form::kTies)
MCU_THUMB_LINEAR(bounded, Form::kBounded)

}  // namespace mcu::kernels
