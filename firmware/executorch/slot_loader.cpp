#include "mcu/executorch/slot_loader.h"

#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::et {

Status load_newest(Model& model, slot::Slots& slots) {
    look(slots);
    slots.running = slot::kNone;
    Status status = Status::kNoProgram;
    for (int index = newest(slots); index != slot::kNone; index = newest(slots)) {
        status = model.load(slot::program(slots.slot(index)));
        if (status == Status::kOk) {
            slots.running = index;
            break;
        }
        slots.status[index] = slot::Status::kNotLoaded;
    }
    return status;
}

void explain(const slot::Slots& slots) {
    for (int index = 0; index < 2; ++index) {
        Text text;
        text.add("mcu: slot ").decimal(static_cast<uint32_t>(index)).add(": ");
        text.add(slot::words(slots.status[index])).add("\n");
        platform::write_console(text.view());
    }
}

}  // namespace mcu::et
