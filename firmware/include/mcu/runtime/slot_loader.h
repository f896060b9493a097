// A model whose plan is in slots. Only generated sources include this.

#pragma once

#include "mcu/runtime/plan.h"
#include "mcu/slot.h"

namespace mcu::runtime {

// Whether inputs and outputs of a plan have these bytes, inputs first.
inline bool has_ports(const Plan& plan, std::span<const size_t> inputs, std::span<const size_t> outputs) {
    bool same = plan.input_count() == inputs.size() && plan.output_count() == outputs.size();
    for (size_t index = 0; same && index < inputs.size(); ++index) {
        same = plan.input(index).size() == inputs[index];
    }
    for (size_t index = 0; same && index < outputs.size(); ++index) {
        same = plan.output(index).size() == outputs[index];
    }
    return same;
}

// Loads the newest plan that can be loaded and has these ports, and says in `slots` what was found. Where
// none can: kNoPlan, or why the last one that is whole could not be. The plan that was loaded before is not.
inline Status load_newest(Plan& plan, slot::Slots& slots, std::span<const size_t> inputs,
                          std::span<const size_t> outputs) {
    slot::look(slots);
    slots.running = slot::kNone;
    Status status = Status::kNoPlan;
    for (int index = slot::newest(slots); index != slot::kNone; index = slot::newest(slots)) {
        status = plan.load(slot::program(slots.slot(index)));
        if (status == Status::kOk && !has_ports(plan, inputs, outputs)) {
            plan.unload();
            status = Status::kOtherPorts;
        }
        if (status == Status::kOk) {
            slots.running = index;
            break;
        }
        slots.status[index] = slot::Status::kNotLoaded;
    }
    return status;
}

}  // namespace mcu::runtime
