// Kernels by number: what a plan that is data (plan.h) can call.
//
// A kernel set is an array of these, generated with the model (python/mcu_build/codegen/kernel_set.py). What
// a kernel takes is read off its own declaration, so that table and function cannot disagree.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
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

// Where bytes are: the region in the upper 3 bits of `extent`, their count in the others.
struct Place {
    uint32_t offset;
    uint32_t extent;
};

enum Region : uint32_t { kNothing, kArena, kFast, kState, kTable, kRegions };

constexpr uint32_t region(const Place& place) {
    return place.extent >> 29;
}
constexpr uint32_t bytes(const Place& place) {
    return place.extent & 0x1FFFFFFF;
}

struct Kernel {
    // Operands lie at `places`, each in its region's memory, which begins at one of `bases`.
    void (*call)(const void* params, const unsigned char* places, unsigned char* const* bases);
    uint16_t params_bytes;
    uint16_t params_alignment;
    std::span<const Operand> operands;
};

// The kernels of an image. `id` tells one set from another: a plan names that for which it was made.
struct KernelSet {
    std::span<const Kernel> kernels;
    uint64_t id;
};

// What lies at a multiple of four bytes, as compilers may know. <memory> would take longer than all the rest.
inline const void* aligned(const unsigned char* bytes) {
    return __builtin_assume_aligned(bytes, 4);
}

inline void* operand_at(const unsigned char* places, size_t index, unsigned char* const* bases) {
    Place place;
    std::memcpy(&place, aligned(places + index * sizeof place), sizeof place);
    return bases[region(place)] + place.offset;
}

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
    return {[](const void* params, const unsigned char* places, unsigned char* const* bases) {
                kFunction(*static_cast<const Params*>(params), kCores...,
                          static_cast<std::tuple_element_t<sizeof...(kCores) + kIndices, Types>>(
                              operand_at(places, kIndices, bases))...);
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
