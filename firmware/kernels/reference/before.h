// The order of entries in sort and topk.

#pragma once

#include <cstdint>

namespace mcu::kernels {

// A total order of values in which a NaN, the one value that differs from itself, is the largest.
template <typename Number>
bool less(Number a, Number b) {
    return a == a && (a < b || b != b);
}

// Whether entry `a` at position `i` comes before entry `b` at position `j`: of equals the first.
template <typename Number, typename Position>
bool before(bool descending, Number a, Position i, Number b, Position j) {
    if (descending ? less(b, a) : less(a, b)) return true;
    if (descending ? less(a, b) : less(b, a)) return false;
    return i < j;
}

}  // namespace mcu::kernels
