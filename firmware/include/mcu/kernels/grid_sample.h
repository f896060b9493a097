// Read images and volumes at positions that a tensor holds (grid_sampler_2d, grid_sampler_3d of PyTorch).
//
//   output[n, c, z, y, x] = input[n, c] at the position grid[n, z, y, x] = (x', y') or (x', y', z')
//
// A coordinate of -1 is the one end of the image, 1 the other: the middle of the outermost pixels with
// aligned corners, else their outer edge. Between pixels: bilinear (the nearest two along each axis), nearest
// (half to even), or bicubic (the nearest four along each axis, a = -0.75; images only). Positions outside:
// zeros, border (the nearest pixel) or reflection at the ends. Input and output in any memory layout
// (planes.h); the grid is dense. Positions and sums are computed in the order of PyTorch, one rounding for
// each operation.

#pragma once

#include <cstdint>

#include "mcu/kernels/planes.h"

namespace mcu::kernels {

enum class GridPadding : int32_t { zeros, border, reflection };

struct GridSampleParams {
    Planes input;
    Planes output;
    int32_t axes;     // coordinates of a position: 2 or 3
    int32_t padding;  // GridPadding
    bool align_corners;
};

void grid_bilinear_f32(const GridSampleParams& params, const float* input, const float* grid, float* output);
void grid_nearest_f32(const GridSampleParams& params, const float* input, const float* grid, float* output);
void grid_bicubic_f32(const GridSampleParams& params, const float* input, const float* grid, float* output);

}  // namespace mcu::kernels
