// The bits of a number as another type of the same size: std::bit_cast, for C++17 too.

#pragma once

#include <cstring>
#include <type_traits>

namespace mcu::kernels {

template <typename To, typename From>
inline To bit_cast(const From& from) {
    static_assert(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<From>);
    To to;
    std::memcpy(&to, &from, sizeof(To));
    return to;
}

}  // namespace mcu::kernels
