#include "mcu/kernels/sort.h"

#include "before.h"

namespace mcu::kernels {
namespace {

// One line: entries and positions, `inner` apart.
template <typename Number>
struct Line {
    const Number* entries;
    int64_t* positions;
    int32_t inner;
    bool descending;

    int64_t& position(int32_t i) const { return positions[i * inner]; }

    bool comes_before(int64_t i, int64_t j) const {
        return before(descending, entries[i * inner], i, entries[j * inner], j);
    }

    // Let position `root` of a heap of `count` sink until nothing below it comes after it.
    void sink(int32_t root, int32_t count) const {
        const int64_t moved = position(root);
        for (int32_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
            if (child + 1 < count && comes_before(position(child), position(child + 1))) ++child;
            if (!comes_before(moved, position(child))) break;
            position(root) = position(child);
            root = child;
        }
        position(root) = moved;
    }
};

// A heap whose root is the last entry of those that are not in their place yet.
template <typename Number>
void sort_line(const Line<Number>& line, int32_t size) {
    for (int32_t i = 0; i < size; ++i) line.position(i) = i;
    for (int32_t root = size / 2; root-- > 0;) line.sink(root, size);
    for (int32_t count = size; count-- > 1;) {
        const int64_t last = line.position(0);
        line.position(0) = line.position(count);
        line.position(count) = last;
        line.sink(0, count);
    }
}

template <typename Number>
void sort(const SortParams& params, const Number* input, Number* values, int64_t* indices) {
    for (int32_t o = 0; o < params.outer; ++o) {
        for (int32_t i = 0; i < params.inner; ++i) {
            const int32_t start = o * params.size * params.inner + i;
            const Line<Number> line = {input + start, indices + start, params.inner, params.descending};
            sort_line(line, params.size);
            for (int32_t k = 0; k < params.size; ++k) {
                values[start + k * params.inner] = line.entries[line.position(k) * params.inner];
            }
        }
    }
}

}  // namespace

#define MCU_SORT(suffix, type)                                                                        \
    void sort_##suffix(const SortParams& params, const type* input, type* values, int64_t* indices) { \
        sort(params, input, values, indices);                                                         \
    }
MCU_SORT(s8, int8_t)
MCU_SORT(s16, int16_t)
MCU_SORT(s32, int32_t)
MCU_SORT(s64, int64_t)
MCU_SORT(f32, float)

}  // namespace mcu::kernels
