// Iteration over pairs of elements of two operands that broadcast to one shape.
//
//   output[i0][i1]...[i5] = function(first[sum of i * params.first], second[sum of i * params.second])
//
// Strides are in elements of the operand, 0 along a dimension in which the operand is repeated. The output is
// dense, outermost dimension first; unused leading dimensions have shape 1. Operands of one shape and order
// are one dimension with strides 1, a channel broadcast is two.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct Broadcast {
    int32_t shape[6];
    int32_t first[6];
    int32_t second[6];
};

// Calls line(first, second, output) where each innermost line of the iteration space starts.
template <typename In, typename Out, typename Line>
inline void for_each_line(const Broadcast& space, const In* first, const In* second, Out* output,
                          const Line& line) {
    const int32_t* const shape = space.shape;
    const int32_t* const f = space.first;
    const int32_t* const s = space.second;
    for (int32_t a = 0; a < shape[0]; ++a) {
        for (int32_t b = 0; b < shape[1]; ++b) {
            for (int32_t c = 0; c < shape[2]; ++c) {
                for (int32_t d = 0; d < shape[3]; ++d) {
                    for (int32_t e = 0; e < shape[4]; ++e) {
                        line(first + a * f[0] + b * f[1] + c * f[2] + d * f[3] + e * f[4],
                             second + a * s[0] + b * s[1] + c * s[2] + d * s[3] + e * s[4], output);
                        output += shape[5];
                    }
                }
            }
        }
    }
}

// A line of sums of a * first + b * second + addend. An operand that is repeated in it is a part of the
// addend.
template <typename In>
struct LineOfSums {
    const In* a;
    const In* b;
    int32_t first;
    int32_t second;
    int32_t addend;
};

// Calls sums(LineOfSums, output) where each innermost line starts, whose strides are 0 or 1, one of them 1.
template <typename In, typename Out, typename Sums>
inline void for_each_line_of_sums(const Broadcast& space, const LineOfSums<In>& all, Out* output,
                                  const Sums& sums) {
    for_each_line(space, all.a, all.b, output, [&](const In* a, const In* b, Out* to) {
        LineOfSums<In> line = {a, b, all.first, all.second, all.addend};
        if (space.first[5] == 0) {
            line.addend += *a * line.first;
            line.first = 0;
            line.a = b;
        } else if (space.second[5] == 0) {
            line.addend += *b * line.second;
            line.second = 0;
            line.b = a;
        }
        sums(line, to);
    });
}

template <typename In, typename Out, typename Function>
inline void for_each_pair(const Broadcast& space, const In* first, const In* second, Out* output,
                          const Function& function) {
    for_each_line(space, first, second, output, [&](const In* x, const In* y, Out* to) {
        for (int32_t i = 0; i < space.shape[5]; ++i) {
            to[i] = function(x[i * space.first[5]], y[i * space.second[5]]);
        }
    });
}

}  // namespace mcu::kernels
