// The gates and units of recurrent layers by Helium, eight at a time: what a Core with kByVectors has beside
// its products (../reference/recurrent_loop.h).

#pragma once

#include <arm_mve.h>

#include "../reference/recurrent_loop.h"

namespace mcu::kernels::mve {

using recurrent::kCellBits;
using recurrent::kFunctionBits;
using recurrent::kGateBits;

// Eight numbers of 16 bits as two times four of 32: those of even lanes, and those of odd ones.
struct Wide {
    int32x4_t even;
    int32x4_t odd;
};

inline Wide wide(int16x8_t value) {
    return {vmovlbq_s16(value), vmovltq_s16(value)};
}

// Of numbers up to 2^15: a sigmoid reaches 1.
inline Wide wide(uint16x8_t value) {
    return {vreinterpretq_s32_u32(vmovlbq_u16(value)), vreinterpretq_s32_u32(vmovltq_u16(value))};
}

inline Wide operator*(Wide a, Wide b) {
    return {vmulq_s32(a.even, b.even), vmulq_s32(a.odd, b.odd)};
}

inline Wide operator+(Wide a, Wide b) {
    return {vaddq_s32(a.even, b.even), vaddq_s32(a.odd, b.odd)};
}

template <int kBits>
inline Wide shifted(Wide value) {
    return {vrshrq_n_s32(value.even, kBits), vrshrq_n_s32(value.odd, kBits)};
}

inline int16x8_t saturated(Wide value) {
    return vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), value.even), value.odd);
}

// recurrent::interpolated of eight numbers. A product of a difference d and kBits bits f of the number is
// rounded at bit kBits: as that of d and f * 2^(16 - kBits) at bit 16, which is the upper half of it.
template <int kBits>
inline uint16x8_t interpolated(int16x8_t value, const int16_t* table) {
    const auto* const entries = reinterpret_cast<const uint16_t*>(table);
    const uint16x8_t size = vreinterpretq_u16_s16(vqabsq_s16(value));
    const uint16x8_t place = vshrq_n_u16(size, kBits);
    const uint16x8_t low = vldrhq_gather_shifted_offset_u16(entries, place);
    const uint16x8_t high = vldrhq_gather_shifted_offset_u16(entries + 1, place);
    return vaddq_u16(low, vrmulhq_u16(vsubq_u16(high, low), vshlq_n_u16(size, 16 - kBits)));
}

inline int16x8_t tanh_of(int16x8_t value, const int16_t* table) {
    const int16x8_t size = vreinterpretq_s16_u16(interpolated<kGateBits - 5>(value, table));
    return vnegq_m_s16(size, size, vcmpltq_n_s16(value, 0));
}

inline uint16x8_t sigmoid_of(int16x8_t value, const int16_t* table) {
    const uint16x8_t half = vrshrq_n_u16(interpolated<kGateBits - 4>(value, table), 1);
    const uint16x8_t middle = vdupq_n_u16(1U << (kFunctionBits - 1));
    return vsubq_m_u16(vaddq_u16(middle, half), middle, half, vcmpltq_n_s16(value, 0));
}

inline void store(int8_t* output, Wide moved, mve_pred16_t lanes) {
    const int16x8_t limited = vmaxq_s16(vminq_s16(saturated(moved), vdupq_n_s16(127)), vdupq_n_s16(-128));
    vstrbq_p_s16(output, limited, lanes);
}

inline void store(int16_t* output, Wide moved, mve_pred16_t lanes) {
    vstrhq_p_s16(output, saturated(moved), lanes);
}

// recurrent::to_output of eight numbers, stored where `lanes` says.
template <typename Value>
void store_output(const RecurrentParams& params, int16x8_t value, Value* output, mve_pred16_t lanes) {
    const Wide from = wide(value);
    const int32x4_t shift = vdupq_n_s32(-params.output_shift), zero = vdupq_n_s32(params.zero_point);
    const int32x4_t even = vrshlq_s32(vmulq_n_s32(from.even, params.output_multiplier), shift);
    const int32x4_t odd = vrshlq_s32(vmulq_n_s32(from.odd, params.output_multiplier), shift);
    store(output, Wide{even, odd} + Wide{zero, zero}, lanes);
}

// Of x and h of int8 or int16.
template <typename V>
struct RecurrentUnits {
    using Value = V;
    static constexpr bool kByVectors = true;

    // gate_of four sums: of products of 64 bits only the upper half is left, with the carry of the lower
    // ones.
    static void gates(const recurrent::FourSums& made, const recurrent::FourSums& kept,
                      const int32_t* multipliers, int32_t rows, int32_t shift, const int32_t* biases,
                      int16_t* gates, int32_t count) {
        const mve_pred16_t lanes = vctp32q(static_cast<uint32_t>(count));
        const int32x4_t a = vldrwq_s32(made.of), b = vldrwq_s32(kept.of);
        const int32x4_t of_a = vldrwq_z_s32(multipliers, lanes);
        const int32x4_t of_b = vldrwq_z_s32(multipliers + rows, lanes);
        const uint32x4_t low_a = vreinterpretq_u32_s32(vmulq_s32(a, of_a));
        const uint32x4_t low = vaddq_u32(low_a, vreinterpretq_u32_s32(vmulq_s32(b, of_b)));
        const int32x4_t high = vaddq_s32(vmulhq_s32(a, of_a), vmulhq_s32(b, of_b));
        const int32x4_t sum = vaddq_m_n_s32(high, high, 1, vcmphiq_u32(low_a, low));
        const int32x4_t shifted = vrshlq_s32(sum, vdupq_n_s32(32 - shift));
        const int32x4_t moved = vaddq_s32(shifted, vldrwq_z_s32(biases, lanes));
        vstrhq_p_s32(gates, vreinterpretq_s32_s16(vqmovnbq_s32(vdupq_n_s16(0), moved)), lanes);
    }

    // Eight units at a time.
    static void lstm_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table,
                           int16_t* cell, Value* output) {
        const int32_t units = params.units;
        for (int32_t u = 0; u < units; u += 8) {
            const mve_pred16_t lanes = vctp16q(static_cast<uint32_t>(units - u));
            const auto gate = [&](int32_t index) { return vldrhq_z_s16(gates + index * units + u, lanes); };
            const Wide enter = wide(sigmoid_of(gate(0), table)), forget = wide(sigmoid_of(gate(1), table));
            const Wide update = wide(tanh_of(gate(2), table));
            const uint16x8_t leave = sigmoid_of(gate(3), table);
            const Wide kept = shifted<kFunctionBits>(forget * wide(vldrhq_z_s16(cell + u, lanes)));
            const int16x8_t made = saturated(kept + shifted<2 * kFunctionBits - kCellBits>(enter * update));
            vstrhq_p_s16(cell + u, made, lanes);
            const int16x8_t seen = tanh_of(vqshlq_n_s16(made, kGateBits - kCellBits), table);
            const Wide shown = shifted<kFunctionBits>(wide(leave) * wide(seen));
            store_output(params, saturated(shown), output + u, lanes);
        }
    }

    static void gru_units(const GruParams& params, const int16_t* gates, const int16_t* table, int16_t* state,
                          Value* output) {
        const int32_t units = params.layer.units;
        const int16x8_t shift = vdupq_n_s16(static_cast<int16_t>(params.state_bits - kFunctionBits));
        for (int32_t u = 0; u < units; u += 8) {
            const mve_pred16_t lanes = vctp16q(static_cast<uint32_t>(units - u));
            const auto gate = [&](int32_t index) { return vldrhq_z_s16(gates + index * units + u, lanes); };
            const Wide reset = wide(sigmoid_of(gate(0), table));
            const uint16x8_t share = sigmoid_of(gate(1), table);
            const Wide gated = shifted<kFunctionBits>(reset * wide(gate(3)));
            const int16x8_t fresh = tanh_of(saturated(wide(gate(2)) + gated), table);
            const Wide rest = wide(vsubq_u16(vdupq_n_u16(1U << kFunctionBits), share));
            const Wide old = wide(share) * wide(vldrhq_z_s16(state + u, lanes));
            const int16x8_t mixed =
                saturated(shifted<kFunctionBits>(rest * wide(vrshlq_s16(fresh, shift)) + old));
            vstrhq_p_s16(state + u, mixed, lanes);
            store_output(params.layer, mixed, output + u, lanes);
        }
    }

    static void rnn_units(const RecurrentParams& params, const int16_t* gates, const int16_t* table,
                          Value* output) {
        for (int32_t u = 0; u < params.units; u += 8) {
            const mve_pred16_t lanes = vctp16q(static_cast<uint32_t>(params.units - u));
            const int16x8_t gate = vldrhq_z_s16(gates + u, lanes);
            const int16x8_t shown = table != nullptr ? tanh_of(gate, table) : vmaxq_s16(gate, vdupq_n_s16(0));
            store_output(params, shown, output + u, lanes);
        }
    }
};

}  // namespace mcu::kernels::mve
