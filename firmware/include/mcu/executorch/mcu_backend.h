// Delegates of McuBackend: plans that are data (mcu/runtime/plan.h), run by our kernels. Only generated
// sources include this.

#pragma once

#include "mcu/runtime/kernel.h"

namespace mcu::et {

// The kernels of one model, in a list of those of all models of an image.
struct Kernels {
    const ::mcu::runtime::KernelSet& set;
    Kernels* next = nullptr;
};

// Lets programs that are loaded from now on have delegates of McuBackend for these kernels, which stay.
void add_mcu(Kernels& kernels);

}  // namespace mcu::et
