// Four pairs at once in 32 bits: operands that are dense along the innermost line, or the second repeated,
// are loaded, any others gathered. VRSHL to the right rounds halves up, as round_s16.h does.

#include "mcu/kernels/pairs_s16.h"

#include <arm_mve.h>

namespace mcu::kernels {
namespace {

constexpr int32_t kLanes = 4;

// Four elements of a line: dense, one value for all, or apart.
struct Dense {
    const int16_t* at;

    int32x4_t next(mve_pred16_t inside) {
        const int32x4_t values = vldrhq_z_s32(at, inside);
        at += kLanes;
        return values;
    }
};

struct Repeated {
    int32x4_t value;

    int32x4_t next(mve_pred16_t) const { return value; }
};

struct Apart {
    const int16_t* at;
    uint32x4_t offsets;
    int32_t step;

    int32x4_t next(mve_pred16_t inside) {
        const int32x4_t values = vldrhq_gather_shifted_offset_z_s32(at, offsets, inside);
        at += step;
        return values;
    }
};

inline Apart apart(const int16_t* from, int32_t stride) {
    return {from, vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(stride)), kLanes * stride};
}

// Stores what function(a, b) gives, bounded, for four pairs after the other.
template <typename A, typename B, typename Function>
inline void line_of_pairs(A a, B b, int32_t count, const BoundsS16& bounds, const Function& function,
                          int16_t* to) {
    const int32x4_t low = vdupq_n_s32(bounds.low);
    const int32x4_t high = vdupq_n_s32(bounds.high);
    for (int32_t left = count; left > 0; left -= kLanes, to += kLanes) {
        const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(left));
        const int32x4_t value = function(a.next(inside), b.next(inside));
        vstrhq_p_s32(to, vminq_s32(vmaxq_s32(value, low), high), inside);
    }
}

// Calls function(a, b), which gives the results before they are bounded.
template <typename Function>
void for_each_four(const Broadcast& space, const BoundsS16& bounds, const int16_t* first,
                   const int16_t* second, int16_t* output, const Function& function) {
    const int32_t f = space.first[5];
    const int32_t s = space.second[5];
    const int32_t count = space.shape[5];
    for_each_line(space, first, second, output, [&](const int16_t* a, const int16_t* b, int16_t* to) {
        if (f == 1 && s == 1) {
            line_of_pairs(Dense{a}, Dense{b}, count, bounds, function, to);
        } else if (f == 1 && s == 0) {
            line_of_pairs(Dense{a}, Repeated{vdupq_n_s32(*b)}, count, bounds, function, to);
        } else {
            line_of_pairs(apart(a, f), apart(b, s), count, bounds, function, to);
        }
    });
}

}  // namespace

void add_s16(const AddS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    const int32x4_t right = vdupq_n_s32(-params.shift);
    for_each_four(params.space, params.bounds, first, second, output, [&](int32x4_t a, int32x4_t b) {
        const int32x4_t sum =
            vaddq_s32(vmulq_n_s32(a, params.first_multiplier), vmulq_n_s32(b, params.second_multiplier));
        return vrshlq_s32(sum, right);
    });
}

void mul_s16(const MulS16Params& params, const int16_t* first, const int16_t* second, int16_t* output) {
    if (params.shift < 33) {
        return for_each_pair(params.space, first, second, output, [&params](int16_t a, int16_t b) {
            return to_int16(a * b, params.multiplier, params.shift, params.bounds);
        });
    }
    // Only the high half of the product counts.
    const int32x4_t multiplier = vdupq_n_s32(params.multiplier);
    const int32x4_t right = vdupq_n_s32(32 - params.shift);
    for_each_four(params.space, params.bounds, first, second, output, [&](int32x4_t a, int32x4_t b) {
        return vrshlq_s32(vmulhq_s32(vmulq_s32(a, b), multiplier), right);
    });
}

}  // namespace mcu::kernels
