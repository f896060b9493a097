#include "mcu/kernels/thumb_conv2d.h"

#include "rescale.h"

namespace mcu::kernels {
namespace {

using thumb::Form;

// Sums over the words of pixels 0 and 1, and of pixels 2 and 3.
struct Sums {
    uint32_t words01;
    uint32_t high01;
    uint32_t words23;
    uint32_t high23;
};

#if defined(__thumb2__)

// Two products of four pixels: 11 instructions for 8 products.
#define THUMB_BLOCK(first, second)                                \
    "ldm %[x]!, {r0, r1, r2, r3}\n"                               \
    "ldrsb %[t], " first                                          \
    "\nmla r0, r0, %[t], %[half]\nmla r1, r1, %[t], %[half]\n"    \
    "ldrsb %[t], " second                                         \
    "\nmla r0, r2, %[t], r0\nmla r1, r3, %[t], r1\n"              \
    "add %[high01], %[high01], r0, asr #16\nadd %[words01], r0\n" \
    "add %[high23], %[high23], r1, asr #16\nadd %[words23], r1\n"

inline __attribute__((always_inline)) Sums sums(const int32_t* patch, const int32_t* patch_end,
                                                const int8_t* weights, int32_t first) {
    Sums found = {static_cast<uint32_t>(first), 0, static_cast<uint32_t>(first), 0};
    const int32_t* x = patch;
    const int8_t* w = weights - 8;
    int32_t t;
    __asm__ volatile(
        "1:\n" THUMB_BLOCK("[%[w], #8]", "[%[w], #16]") THUMB_BLOCK("[%[w], #24]", "[%[w], #32]")
            THUMB_BLOCK("[%[w], #40]", "[%[w], #48]")
                THUMB_BLOCK("[%[w], #56]", "[%[w], #64]!") "cmp %[x], %[end]\nbne 1b\n"
        : [words01] "+&r"(found.words01), [high01] "+&r"(found.high01), [words23] "+&r"(found.words23),
          [high23] "+&r"(found.high23), [x] "+&r"(x), [w] "+&r"(w), [t] "=&r"(t)
        : [half] "r"(1 << 15), [end] "r"(patch_end)
        : "r0", "r1", "r2", "r3", "cc", "memory");
    return found;
}

#else

// Two products of four pixels: 18 instructions for 8 products. A weight lies as far from its product's
// pixels in every turn, eight bytes each, so that one offset finds them all.
#define THUMB_BLOCK                                                                 \
    "ldm %[x]!, {r0, r1}\nldrsb %[t], [%[x], %[w]]\nmuls r0, %[t]\nmuls r1, %[t]\n" \
    "add r0, r12\nadd r1, r12\n"                                                    \
    "ldm %[x]!, {r2, r3}\nldrsb %[t], [%[x], %[w]]\nmuls r2, %[t]\nmuls r3, %[t]\n" \
    "adds r0, r0, r2\nadds r1, r1, r3\n"                                            \
    "asrs %[t], r0, #16\nadd r8, r0\nadd r9, %[t]\nasrs %[t], r1, #16\nadd r10, r1\nadd r11, %[t]\n"

inline __attribute__((always_inline)) Sums sums(const int32_t* patch, const int32_t* patch_end,
                                                const int8_t* weights, int32_t first) {
    Sums found;
    const int32_t* x = patch;
    // In the order of the assembly; results go where they lay.
    struct {
        const int32_t* end;
        int32_t first;
        int32_t half;
        int32_t zero;
    } arguments = {patch_end, first, 1 << 15, 0};
    static_assert(sizeof arguments == sizeof found);
    void* t = &arguments;
    const auto w = reinterpret_cast<uintptr_t>(weights) - reinterpret_cast<uintptr_t>(patch) - 8;
    __asm__ volatile(
        ".syntax unified\npush {%[t]}\nldm %[t]!, {r0, r1, r2, r3}\nmov lr, r0\nmov r12, r2\n"
        "mov r8, r1\nmov r9, r3\nmov r10, r1\nmov r11, r3\n"
        "1:\n" THUMB_BLOCK THUMB_BLOCK THUMB_BLOCK THUMB_BLOCK
        "cmp %[x], lr\nbne 1b\n"
        "pop {%[t]}\nmov r0, r8\nmov r1, r9\nmov r2, r10\nmov r3, r11\nstm %[t]!, {r0, r1, r2, r3}\n"
        : [x] "+&l"(x), [t] "+&l"(t)
        : [w] "l"(w)
        : "r0", "r1", "r2", "r3", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    __builtin_memcpy(&found, &arguments, sizeof found);
    return found;
}

#endif

// Where the four pixels of a tile are stored: bytes behind the first, 0 where there is none.
struct Offsets {
    int32_t of[4];
};

inline Offsets offsets(int32_t left, int32_t channels) {
    return {{0, left > 1 ? channels : 0, left > 2 ? 2 * channels : 0, left > 3 ? 3 * channels : 0}};
}

// All channels of four pixels.
template <Form kForm>
__attribute__((noinline)) void four_pixels(const ThumbTileParams& params, const int32_t* patch,
                                           const int32_t* packed, int8_t* output, const Offsets& to) {
    const DspBounds bounds = params.bounds;
    const int32_t* const patch_end = patch + 2 * params.products;
    const auto eights = static_cast<int32_t>(static_cast<uint32_t>(params.channels + 7) / 8);
    const auto* scale = reinterpret_cast<const DspScale*>(packed + 2 * eights * params.products);
    const auto* weights = reinterpret_cast<const int8_t*>(packed);
    const int32_t first = -params.products * (1 << 14);
    int8_t* const end = output + params.channels;
    for (int32_t in_eight = 8; output != end; ++output, ++scale) {
        const Sums found = sums(patch, patch_end, weights, first);
        const uint32_t low[2] = {found.words01 - (found.high01 << 16), found.words23 - (found.high23 << 16)};
        // The first pixel last: where one is missing, it is stored in its place before.
        output[to.of[3]] = thumb::rescale<kForm>(static_cast<int32_t>(found.high23), *scale, bounds);
        output[to.of[2]] = thumb::rescale<kForm>(static_cast<int32_t>(low[1]), *scale, bounds);
        output[to.of[1]] = thumb::rescale<kForm>(static_cast<int32_t>(found.high01), *scale, bounds);
        output[0] = thumb::rescale<kForm>(static_cast<int32_t>(low[0]), *scale, bounds);
        ++weights;
        if (--in_eight == 0) {
            in_eight = 8;
            weights += 8 * (params.products - 1);
        }
    }
}

// Two runs of bytes into one column of the patch; the slot behind them.
__attribute__((noinline)) int32_t* pair(const int8_t* first, const int8_t* second, int32_t count,
                                        int32_t* slot) {
#pragma GCC unroll 4
    for (; count > 0; --count, slot += 2) {
        *slot = *first++ + *second++ * (1 << 16);
    }
    return slot;
}

// The window of one output pixel.
struct Origin {
    const int8_t* image;
    int32_t y;
    int32_t x;
};

inline bool is_inside(int32_t at, int32_t size) {
    return static_cast<uint32_t>(at) < static_cast<uint32_t>(size);
}

// One row of a window: all its columns are in the image, or each is looked at.
struct Row {
    const int8_t* pixels;
    bool whole;
    bool inside;

    Row(const ThumbConv2dParams& params, const Origin& origin, int32_t y)
        : pixels(origin.image + (y * params.input.width + origin.x) * params.input.channels),
          whole(origin.x >= 0 && origin.x + params.window.size.x <= params.input.width),
          inside(is_inside(y, params.input.height)) {}
};

inline void windows(const ThumbConv2dParams& params, const Origin& a, const Origin& b, const int8_t* edge,
                    int32_t* slot) {
    const int32_t depth = params.input.channels;
    const int32_t columns = params.window.size.x;
    for (int32_t ky = 0; ky < params.window.size.y; ++ky) {
        const Row first(params, a, a.y + ky);
        const Row second(params, b, b.y + ky);
        if (first.whole && second.whole && first.inside && second.inside) {
            slot = pair(first.pixels, second.pixels, columns * depth, slot);
            continue;
        }
        for (int32_t kx = 0; kx < columns; ++kx) {
            const bool a_inside = first.inside && is_inside(a.x + kx, params.input.width);
            const bool b_inside = second.inside && is_inside(b.x + kx, params.input.width);
            slot = pair(a_inside ? first.pixels + kx * depth : edge,
                        b_inside ? second.pixels + kx * depth : edge, depth, slot);
        }
    }
}

// Output pixels in memory order.
class Walk {
public:
    Walk(const ThumbConv2dParams& params, const int8_t* input)
        : params_(params), at_{input, -params.window.padding.y, -params.window.padding.x} {}

    Origin next() {
        const Origin found = at_;
        at_.x += params_.window.stride.x;
        if (++column_ == params_.output.width) {
            column_ = 0;
            at_.x = -params_.window.padding.x;
            at_.y += params_.window.stride.y;
            if (++row_ == params_.output.height) {
                row_ = 0;
                at_.y = -params_.window.padding.y;
                at_.image += params_.input.height * params_.input.width * params_.input.channels;
            }
        }
        return found;
    }

private:
    const ThumbConv2dParams& params_;
    Origin at_;
    int32_t column_ = 0;
    int32_t row_ = 0;
};

template <Form kForm>
inline void conv2d(const ThumbConv2dParams& params, const int8_t* input, const int32_t* packed,
                   const int8_t* edge, int8_t* output, uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    const int32_t channels = params.tile.channels;
    Walk walk(params, input);
    for (int32_t left = params.batch * params.output.height * params.output.width; left > 0; left -= 4) {
        const Origin first = walk.next();
        windows(params, first, left > 1 ? walk.next() : first, edge, slots);
        const Origin third = left > 2 ? walk.next() : first;
        windows(params, third, left > 3 ? walk.next() : first, edge, slots + 1);
        four_pixels<kForm>(params.tile, slots, packed, output, offsets(left, channels));
        output += 4 * channels;
    }
}

template <Form kForm>
inline void pointwise(const ThumbPointwiseParams& params, const int8_t* input, const int32_t* packed,
                      int8_t* output, uint8_t* patch) {
    const auto slots = reinterpret_cast<int32_t*>(patch);
    for (int32_t left = params.pixels; left > 0; left -= 4) {
        const Offsets from = offsets(left, params.depth);
        pair(input, input + from.of[1], params.depth, slots);
        pair(input + from.of[2], input + from.of[3], params.depth, slots + 1);
        four_pixels<kForm>(params.tile, slots, packed, output, offsets(left, params.tile.channels));
        input += 4 * params.depth;
        output += 4 * params.tile.channels;
    }
}

}  // namespace

#define MCU_THUMB_CONVOLUTIONS(form, kForm)                                                               \
    void thumb_conv2d_##form(const ThumbConv2dParams& params, const int8_t* input, const int32_t* packed, \
                             const int8_t* edge, int8_t* output, uint8_t* patch) {                        \
        conv2d<kForm>(params, input, packed, edge, output, patch);                                        \
    }                                                                                                     \
    void thumb_pointwise_##form(const ThumbPointwiseParams& params, const int8_t* input,                  \
                                const int32_t* packed, int8_t* output, uint8_t* patch) {                  \
        pointwise<kForm>(params, input, packed, output, patch);                                           \
    }

MCU_THUMB_CONVOLUTIONS(relu, Form::kRelu)
MCU_THUMB_CONVOLUTIONS(ties, Form::kTies)
MCU_THUMB_CONVOLUTIONS(bounded, Form::kBounded)

}  // namespace mcu::kernels
