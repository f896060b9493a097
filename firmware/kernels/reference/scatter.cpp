#include "mcu/kernels/scatter.h"

#include <cstring>
#include <type_traits>

namespace mcu::kernels {
namespace {

// Call `visit(source offset, output offset)` along the six dimensions of `shape`.
template <typename Visit>
void for_each_position(const int32_t* shape, const int32_t* source, const int32_t* output,
                       const Visit& visit) {
    int32_t at[6] = {};
    for (int32_t i = 0; i < 6; ++i) {
        if (shape[i] == 0) return;
    }
    int32_t from = 0;
    int32_t to = 0;
    for (int32_t axis = 5; axis >= 0;) {
        visit(from, to);
        for (axis = 5; axis >= 0; --axis) {
            from += source[axis];
            to += output[axis];
            if (++at[axis] < shape[axis]) break;
            from -= at[axis] * source[axis];
            to -= at[axis] * output[axis];
            at[axis] = 0;
        }
    }
}

// The place that `index` names, or -1.
int32_t place(int64_t index, int32_t size) {
    const int64_t found = index < 0 ? index + size : index;
    return found >= 0 && found < size ? static_cast<int32_t>(found) : -1;
}

// Bytes of any type, written whole.
template <int32_t Size>
struct Set {
    static void at(void* output, int32_t to, const void* source, int32_t from) {
        std::memcpy(static_cast<char*>(output) + to * Size, static_cast<const char*>(source) + from * Size,
                    Size);
    }
    static constexpr int32_t size = Size;
};

// In unsigned arithmetic of 64 bits, whose low bits are right for every width and whose overflow is defined.
template <typename Number, typename Function>
Number wrapped(Number a, Number b, const Function& function) {
    if constexpr (std::is_same_v<Number, float>) {
        return function(a, b);
    } else {
        return static_cast<Number>(function(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
    }
}

template <typename Number, typename Function>
struct Combine {
    static void at(Number* output, int32_t to, const Number* source, int32_t from) {
        output[to] = Function::of(output[to], source[from]);
    }
    static constexpr int32_t size = sizeof(Number);
};

template <typename Number>
struct Add {
    static Number of(Number a, Number b) {
        return wrapped(a, b, [](auto x, auto y) { return x + y; });
    }
};

template <typename Number>
struct Multiply {
    static Number of(Number a, Number b) {
        return wrapped(a, b, [](auto x, auto y) { return x * y; });
    }
};

// Only a NaN differs from itself.
template <typename Number>
struct Larger {
    static Number of(Number a, Number b) { return b > a || b != b ? b : a; }
};

template <typename Number>
struct Smaller {
    static Number of(Number a, Number b) { return b < a || b != b ? b : a; }
};

void copy_input(const void* input, void* output, int32_t bytes) {
    if (input != output) std::memcpy(output, input, static_cast<std::size_t>(bytes));
}

template <typename Write, typename Number>
void scatter(const ScatterParams& params, const Number* input, const int64_t* index, const Number* source,
             Number* output) {
    copy_input(input, output, params.elements * Write::size);
    for_each_position(params.shape, params.source, params.output, [&](int32_t from, int32_t to) {
        const int32_t found = place(*index++, params.size);
        if (found >= 0) Write::at(output, to + found * params.stride, source, from);
    });
}

template <typename Write, typename Number>
void put(const PutParams& params, const Number* input, const int64_t* index, const Number* source,
         Number* output) {
    copy_input(input, output, params.outer * params.size * params.inner * Write::size);
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.count; ++i) {
            const int32_t found = place(index[i], params.size);
            const int32_t from = (o * params.count + i) * params.inner;
            const int32_t to = (o * params.size + found) * params.inner;
            for (int32_t k = 0; found >= 0 && k < params.inner; ++k) {
                Write::at(output, to + k, source, from + k);
            }
        }
    }
}

}  // namespace

#define MCU_SCATTER(how, suffix, type, Write)                                                           \
    void scatter_##how##_##suffix(const ScatterParams& params, const type* input, const int64_t* index, \
                                  const type* source, type* output) {                                   \
        scatter<Write>(params, input, index, source, output);                                           \
    }                                                                                                   \
    void put_##how##_##suffix(const PutParams& params, const type* input, const int64_t* index,         \
                              const type* source, type* output) {                                       \
        put<Write>(params, input, index, source, output);                                               \
    }
#define MCU_COMBINE(how, suffix, type, Function)          \
    using how##_##suffix = Combine<type, Function<type>>; \
    MCU_SCATTER(how, suffix, type, how##_##suffix)
#define MCU_COMBINE_ALL(suffix, type)        \
    MCU_COMBINE(add, suffix, type, Add)      \
    MCU_COMBINE(mul, suffix, type, Multiply) \
    MCU_COMBINE(max, suffix, type, Larger)   \
    MCU_COMBINE(min, suffix, type, Smaller)

MCU_COMBINE_ALL(s32, int32_t)
MCU_COMBINE_ALL(s64, int64_t)
MCU_COMBINE_ALL(f32, float)
MCU_SCATTER(set, x8, void, Set<1>)
MCU_SCATTER(set, x16, void, Set<2>)
MCU_SCATTER(set, x32, void, Set<4>)
MCU_SCATTER(set, x64, void, Set<8>)

void masked_scatter(const MaskedScatterParams& params, const void* input, const bool* mask,
                    const void* source, void* output) {
    const auto bytes = static_cast<std::size_t>(params.element_bytes);
    copy_input(input, output, params.elements * params.element_bytes);
    const auto* from = static_cast<const char*>(source);
    int32_t taken = 0;
    for (int32_t i = 0; i < params.elements && taken < params.available; ++i) {
        if (!mask[i]) continue;
        std::memcpy(static_cast<char*>(output) + i * params.element_bytes, from, bytes);
        from += bytes;
        ++taken;
    }
}

void insert(const InsertParams& params, const void* input, const void* source, void* output) {
    copy_input(input, output, params.bytes);
    const auto bytes = static_cast<std::size_t>(params.element_bytes);
    const auto* from = static_cast<const char*>(source);
    auto* const to = static_cast<char*>(output) + params.offset;
    constexpr int32_t dense[6] = {};
    for_each_position(params.shape, dense, params.strides, [&](int32_t, int32_t at) {
        std::memcpy(to + at, from, bytes);
        from += bytes;
    });
}

}  // namespace mcu::kernels
