// Functions of floats that give the same bits on every core and compiler.
//
// Everything is computed in float and integers alone, one IEEE rounding for each operation and in the order
// written (-ffp-contract=off), so a function's result is defined by these files: the reference runs the same
// source on the host. No libm is called, no double is used. Infinities, NaNs, signed zeros and denormals
// are treated as in C's <math.h>.
//
// Errors against the exact result, in units in the last place, measured over all exponents
// (tests/host/test_math_f32.py holds them):
//
//   floor ceil trunc rint sqrt fmod                                 exact (correctly rounded)
//   exp expm1 exp2 log log1p log2 sin cos acos rsqrt                below 1.5
//   log10 tanh erf pow atan asinh acosh atanh                       below 2
//   sigmoid tan asin sinh cosh atan2                                below 2.5
//
// Polynomials are minimax fits of our own. About 20 to 40 float operations a call; sin, cos and tan reduce
// their argument with three 32 x 32 multiplications.

#pragma once

#include "mcu/kernels/math_f32_angles.h"
#include "mcu/kernels/math_f32_basic.h"
#include "mcu/kernels/math_f32_powers.h"
