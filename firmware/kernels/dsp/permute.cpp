#include <cstring>

#include "mcu/kernels/permute_lines.h"
#include "words.h"

namespace mcu::kernels {
namespace {

// Size is 0 where it is known at run time only. A copy of constant size is a load and a store.
template <std::size_t Size>
void move_line(const Line& line, std::size_t element, const int8_t* in, int8_t* out) {
    for (int32_t left = line.count; left > 0; --left) {
        std::memcpy(out, in, Size != 0 ? Size : element);
        in += line.from;
        out += line.to;
    }
}

void move_lines(const Line& lines, const Line& line, int32_t element, const int8_t* in, int8_t* out) {
    const auto move = element == 1   ? move_line<1>
                      : element == 2 ? move_line<2>
                      : element == 4 ? move_line<4>
                                     : move_line<0>;
    for (int32_t i = 0; i < lines.count; ++i) {
        move(line, static_cast<std::size_t>(element), in + i * lines.from, out + i * lines.to);
    }
}

inline int32_t low_halves(int32_t low, int32_t high) {
    int32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}
inline int32_t high_halves(int32_t low, int32_t high) {
    int32_t pair;
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}
inline int32_t beside(int32_t even, int32_t odd) {
    return even | static_cast<int32_t>(static_cast<uint32_t>(odd) << 8);
}
inline int32_t even_unsigned(int32_t word) {
    return word & 0x00FF00FF;
}
inline int32_t odd_unsigned(int32_t word) {
    return static_cast<int32_t>(static_cast<uint32_t>(word) >> 8) & 0x00FF00FF;
}

// Four rows of four bytes, `from` bytes apart, become columns, `to` bytes apart.
inline void transpose_block(const int8_t* in, int32_t from, int8_t* out, int32_t to) {
    const int32_t a = dsp::load_word(in);
    const int32_t b = dsp::load_word(in + from);
    const int32_t c = dsp::load_word(in + 2 * from);
    const int32_t d = dsp::load_word(in + 3 * from);
    const int32_t even_first = beside(even_unsigned(a), even_unsigned(b));
    const int32_t even_last = beside(even_unsigned(c), even_unsigned(d));
    const int32_t odd_first = beside(odd_unsigned(a), odd_unsigned(b));
    const int32_t odd_last = beside(odd_unsigned(c), odd_unsigned(d));
    dsp::store_word(low_halves(even_first, even_last), out);
    dsp::store_word(low_halves(odd_first, odd_last), out + to);
    dsp::store_word(high_halves(even_first, even_last), out + 2 * to);
    dsp::store_word(high_halves(odd_first, odd_last), out + 3 * to);
}

// A matrix of bytes: `rows` are dense in the input, `columns` in the output. The last blocks may be moved
// twice.
void transpose_bytes(const Line& rows, const Line& columns, const int8_t* in, int8_t* out) {
    constexpr int32_t kBlock = 4;
    for (int32_t y = 0; y < columns.count; y += kBlock) {
        const int32_t column = y < columns.count - kBlock ? y : columns.count - kBlock;
        const int8_t* const from = in + column * columns.from;
        int8_t* const to = out + column;
        for (int32_t x = 0; x < rows.count; x += kBlock) {
            const int32_t row = x < rows.count - kBlock ? x : rows.count - kBlock;
            transpose_block(from + row, columns.from, to + row * rows.to, rows.to);
        }
    }
}

}  // namespace

void permute(const PermuteParams& params, const void* input, void* output) {
    const int32_t element = params.element_bytes;
    const auto move = [element](const Line& outer, const Line& inner, const int8_t* from, int8_t* to) {
        if (element == 1 && outer.from == 1 && outer.count >= 4 && inner.count >= 4) {
            transpose_bytes(outer, inner, from, to);
        } else if (inner.count < outer.count) {
            move_lines(inner, outer, element, from, to);
        } else {
            move_lines(outer, inner, element, from, to);
        }
    };
    for_each_matrix(params, input, output, move);
}

}  // namespace mcu::kernels
