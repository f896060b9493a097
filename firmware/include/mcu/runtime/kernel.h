// Kernels by number: what a plan that is data (plan.h) can call.
//
// A kernel set is an array of these, generated with the model (python/mcu_build/codegen/kernel_set.py). What
// a kernel takes is read off its own declaration, so that table and function cannot disagree.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace mcu::runtime {

// What a kernel needs of an operand: the alignment of its elements, and whether it writes them.
struct Operand {
    uint8_t alignment;
    bool written;
};

struct Kernel {
    void (*call)(const void* params, void* const* operands);
    uint16_t params_bytes;
    uint16_t params_alignment;
    std::span<const Operand> operands;
};

// The kernels of an image. `id` tells one set from another: a plan names that for which it was made.
struct KernelSet {
    std::span<const Kernel> kernels;
    uint64_t id;
};

// The most operands that a kernel has.
inline constexpr size_t kMaxOperands = 16;

template <typename T>
constexpr Operand operand() {
    using Element = std::conditional_t<std::is_void_v<T>, char, T>;
    return {alignof(Element), !std::is_const_v<T>};
}

template <typename... Ts>
inline constexpr Operand kOperands[sizeof...(Ts)] = {operand<Ts>()...};

template <auto kFunction, auto... kCores, typename Params, typename... Arguments, size_t... kIndices>
constexpr Kernel kernel(void (*)(const Params&, Arguments...), std::index_sequence<kIndices...>) {
    using Types = std::tuple<Arguments...>;
    static_assert(sizeof...(kIndices) <= kMaxOperands);
    return {[](const void* params, void* const* operands) {
                kFunction(*static_cast<const Params*>(params), kCores...,
                          static_cast<std::tuple_element_t<sizeof...(kCores) + kIndices, Types>>(
                              operands[kIndices])...);
            },
            sizeof(Params), alignof(Params),
            kOperands<std::remove_pointer_t<std::tuple_element_t<sizeof...(kCores) + kIndices, Types>>...>};
}

template <auto... kCores, typename Params, typename... Arguments>
constexpr auto operand_indices(void (*)(const Params&, Arguments...)) {
    return std::make_index_sequence<sizeof...(Arguments) - sizeof...(kCores)>();
}

// The entry of a function of mcu::kernels: parameters, cores that were emitted for it, and pointers.
template <auto kFunction, auto... kCores>
constexpr Kernel kernel() {
    return kernel<kFunction, kCores...>(kFunction, operand_indices<kCores...>(kFunction));
}

}  // namespace mcu::runtime
