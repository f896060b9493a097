// Our kernels as ExecuTorch calls them beside its own for Cortex-M (--kernels upstream): one function for
// each operator, under the operator's schema (.out variant).
//
// python/mcu_build/codegen/executorch_operators.py says which operator each of them serves.

#pragma once

#include "mcu/executorch/arguments.h"

namespace mcu::et {

using Adapter = void(KernelRuntimeContext& context, Values values);

// lookup.cpp
Adapter embedding;
// movement.cpp
Adapter view_copy, copy_elements, permute_copy, transpose_copy, slice_copy, select_copy, expand_copy, cat;
// norm.cpp
Adapter native_layer_norm;
// quantize.cpp
Adapter quantize_per_tensor, dequantize_per_tensor;

}  // namespace mcu::et
