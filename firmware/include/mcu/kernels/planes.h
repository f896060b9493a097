// Images and volumes in any memory layout: [batch][channel][depth][row][column] with a stride for each, in
// elements. An image has a depth of 1, a line one row as well.

#pragma once

#include <cstdint>

namespace mcu::kernels {

struct Planes {
    int32_t batches;
    int32_t channels;
    int32_t depth;
    int32_t rows;
    int32_t columns;
    int32_t batch_stride;
    int32_t channel_stride;
    int32_t depth_stride;
    int32_t row_stride;
    int32_t column_stride;
};

// Call `visit(batch, channel, z, row, column)` for every element.
template <typename Visit>
inline void for_each_pixel(const Planes& planes, const Visit& visit) {
    for (int32_t b = 0; b < planes.batches; ++b) {
        for (int32_t c = 0; c < planes.channels; ++c) {
            for (int32_t z = 0; z < planes.depth; ++z) {
                for (int32_t y = 0; y < planes.rows; ++y) {
                    for (int32_t x = 0; x < planes.columns; ++x) visit(b, c, z, y, x);
                }
            }
        }
    }
}

inline int32_t plane_offset(const Planes& planes, int32_t batch, int32_t channel) {
    return batch * planes.batch_stride + channel * planes.channel_stride;
}

inline int32_t offset_in_plane(const Planes& planes, int32_t z, int32_t row, int32_t column) {
    return z * planes.depth_stride + row * planes.row_stride + column * planes.column_stride;
}

inline int32_t pixel_offset(const Planes& planes, int32_t batch, int32_t channel, int32_t z, int32_t row,
                            int32_t column) {
    return plane_offset(planes, batch, channel) + offset_in_plane(planes, z, row, column);
}

}  // namespace mcu::kernels
