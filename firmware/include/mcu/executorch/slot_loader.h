// A model whose program is in slots. Only generated sources include this.

#pragma once

#include "mcu/executorch/model.h"
#include "mcu/slot.h"

namespace mcu::et {

// Loads the newest program that can be loaded, and says in `slots` what was found. Where none can:
// kNoProgram, or why the last one that is whole could not be.
Status load_newest(Model& model, slot::Slots& slots);
// Tells what is in the slots on the console.
void explain(const slot::Slots& slots);

}  // namespace mcu::et
