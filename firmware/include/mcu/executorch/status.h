// What loading and running a program with ExecuTorch's runtime can come to.

#pragma once

#include <cstdint>

namespace mcu::et {

enum class Status : int32_t {
    kOk = 0,
    kBadProgram,       // it is not a program, is damaged, or refers to what is not there
    kMissingOperator,  // it calls an operator that is not linked
    kPoolTooSmall,     // one of the pools that the firmware was built with has no room for it
    kWrongPorts,       // its inputs and outputs are not those that the firmware was built for
    kFailed,           // an operator or a delegate failed while it ran
    kNoProgram,        // no program slot holds one for this firmware
    kWrongDelegate,    // it has a delegate without a back end here, or for another device
};

// A few words on a status, for a log.
const char* words(Status status);

}  // namespace mcu::et
