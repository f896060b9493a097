#include "mcu/kernels/mve_recurrent.h"

#include "eight_sums.h"
#include "recurrent_units.h"

namespace mcu::kernels {
namespace {

// Rows of gates. The functions below load it by its order.
struct Gates {
    const void* x;
    int32_t inputs;
    const void* h;
    int32_t units;
    int32_t left;   // bits by which sums are shifted to the left
    int32_t right;  // 32 minus the bits by which products of 64 bits then are shifted to the right
    int32_t rows;
};
using MakeGates = const int8_t* (*)(const Gates&, const int8_t* packed, int16_t* gates);

// Four gates, of the sums over x at sp + `place` and those over h in `h`: of products of 64 bits only the
// upper half is left, with the carry of the lower ones. r0 left, r2 right, r4 1.
#define MVE_GATES(h, place)                                                                          \
    "vldrw.u32 q0, [sp, #" place "]\n vldrw.u32 q1, [r3], #16\n vshl.s32 q0, r0\n vshl.s32 " #h      \
    ", r0\n vmul.i32 q2, q0, q1\n vmulh.s32 q0, q0, q1\n vldrw.u32 q1, [r3], #16\n vmul.i32 q3, " #h \
    ", q1\n vmulh.s32 " #h ", " #h ", q1\n vadd.i32 q3, q3, q2\n vadd.i32 " #h ", " #h               \
    ", q0\n vpt.u32 hi, q2, q3\n vaddt.i32 " #h ", " #h ", r4\n vrshl.s32 " #h                       \
    ", r2\n vldrw.u32 q1, [r3], #16\n vadd.i32 " #h ", " #h ", q1\n"

// Rows by eights; what is behind their weights.
//
//   r1 values  r3 weights  r5 zeros  r7 gates  r9 rows left  r11 values left
//   [sp]       sums over x, eight zeros, `Gates` but its rows
#define MVE_GATES_BY_EIGHTS(sums) \
    __asm__ volatile(                                                                                 \
        "push {r4-r11, lr}\n vpush {d12-d15}\n mov r3, r1\n mov r7, r2\n"                             \
        "ldm r0, {r1, r4, r5, r6, r8, r10, r12}\n mov r9, r12\n push {r1, r4, r5, r6, r8, r10}\n"     \
        "sub sp, #64\n add r5, sp, #32\n vmov.i32 q0, #0\n vstrw.32 q0, [r5]\n vstrw.32 q0, [r5, #16]\n" \
        "1: ldm r5, " MVE_SUMS "\n ldrd r1, r11, [sp, #64]\n" sums "stm sp, " MVE_SUMS                \
        "\n ldm r5, " MVE_SUMS "\n ldrd r1, r11, [sp, #72]\n" sums MVE_SUMS_AS_VECTORS                \
        "ldrd r0, r2, [sp, #80]\n mov r4, #1\n" MVE_GATES(q6, "0") MVE_GATES(q7, "16")                \
        "vqmovnb.s32 q6, q6\n vqmovnt.s32 q6, q7\n vctp.16 r9\n vpst\n vstrht.16 q6, [r7], #16\n"     \
        "subs r9, #8\n bhi 1b\n mov r0, r3\n add sp, #88\n vpop {d12-d15}\n pop {r4-r11, pc}\n")

}  // namespace

[[gnu::naked]] const int8_t* mve_gates_s8(const Gates&, const int8_t*, int16_t*) {
    MVE_GATES_BY_EIGHTS(MVE_EIGHT_SUMS_S8);
}

[[gnu::naked]] const int8_t* mve_gates_s16(const Gates&, const int8_t*, int16_t*) {
    MVE_GATES_BY_EIGHTS(MVE_EIGHT_SUMS_S16);
}

namespace {

// What makes all gates of a step from packed weights.
template <typename Value>
struct Packed {
    Gates gates;
    int32_t together;  // rows to which x and h add up
    int32_t apart;     // rows of which each makes gates of its own
    const int8_t* weights;

    Packed(const RecurrentParams& params, int32_t together, int32_t apart, const int8_t* weights)
        : gates{nullptr, params.inputs, nullptr, params.units, 0, 32 - params.shift, 0},
          together(together),
          apart(apart),
          weights(weights) {
        if (params.shift < 33) {
            gates.left = 33 - params.shift;
            gates.right = -1;
        }
    }

    void operator()(const Value* x, const Value* h, int16_t* made) const {
        MakeGates make = sizeof(Value) == 1 ? mve_gates_s8 : mve_gates_s16;
        // Compilers are not to conclude anything from a naked function's text.
        __asm__("" : "+r"(make) : : "memory");
        Gates all = gates;
        all.x = x;
        all.h = h;
        all.rows = together;
        const int8_t* rest = make(all, weights, made);
        if (apart == 0) {
            return;
        }
        all.rows = apart;
        all.units = 0;
        rest = make(all, rest, made + together);
        all.units = gates.units;
        all.inputs = 0;
        make(all, rest, made + together + apart);
    }
};

template <typename Value>
void lstm(const RecurrentParams& params, const Value* input, const Value* hidden, const float* cell,
          const int8_t* packed, const int16_t* table, float* cell_output, Value* output, uint8_t* scratch) {
    const Packed<Value> gates_of(params, 4 * params.units, 0, packed);
    recurrent::lstm<mve::RecurrentUnits<Value>>(params, input, hidden, cell, gates_of, table, cell_output,
                                                output, scratch);
}

template <typename Value>
void gru(const GruParams& params, const Value* input, const Value* hidden, const float* state,
         const int8_t* packed, const int16_t* table, float* state_output, Value* output, uint8_t* scratch) {
    const Packed<Value> gates_of(params.layer, 2 * params.layer.units, params.layer.units, packed);
    recurrent::gru<mve::RecurrentUnits<Value>>(params, input, hidden, state, gates_of, table, state_output,
                                               output, scratch);
}

template <typename Value>
void rnn(const RecurrentParams& params, const Value* input, const Value* hidden, const int8_t* packed,
         const int16_t* table, Value* output, uint8_t* scratch) {
    const Packed<Value> gates_of(params, params.units, 0, packed);
    recurrent::rnn<mve::RecurrentUnits<Value>>(params, input, hidden, gates_of, table, output, scratch);
}

}  // namespace

#define MCU_MVE_RECURRENT(Value, bits)                                                                       \
    void mve_lstm_s##bits(const RecurrentParams& params, const Value* input, const Value* hidden,            \
                          const float* cell, const int8_t* packed, const int16_t* table, float* cell_output, \
                          Value* output, uint8_t* scratch) {                                                 \
        lstm(params, input, hidden, cell, packed, table, cell_output, output, scratch);                      \
    }                                                                                                        \
    void mve_gru_s##bits(const GruParams& params, const Value* input, const Value* hidden,                   \
                         const float* state, const int8_t* packed, const int16_t* table,                     \
                         float* state_output, Value* output, uint8_t* scratch) {                             \
        gru(params, input, hidden, state, packed, table, state_output, output, scratch);                     \
    }                                                                                                        \
    void mve_rnn_s##bits(const RecurrentParams& params, const Value* input, const Value* hidden,             \
                         const int8_t* packed, const int16_t* table, Value* output, uint8_t* scratch) {      \
        rnn(params, input, hidden, packed, table, output, scratch);                                          \
    }
MCU_MVE_RECURRENT(int8_t, 8)
MCU_MVE_RECURRENT(int16_t, 16)

}  // namespace mcu::kernels
