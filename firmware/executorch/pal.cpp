// What ExecuTorch asks of its platform: an end, and a place for what it has to say. There is no heap and no
// clock.

#include <executorch/runtime/platform/platform.h>

#include <string_view>

#include "mcu/platform.h"

extern "C" {

void et_pal_init(void) {}

void et_pal_abort(void) {
    mcu::platform::exit(mcu::platform::Status::kProgram);
}

et_timestamp_t et_pal_current_ticks(void) {
    return 0;
}

et_tick_ratio_t et_pal_ticks_to_ns_multiplier(void) {
    return {1, 1};
}

void et_pal_emit_log_message(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t,
                             const char* message, size_t length) {
    if (level == kError || level == kFatal) {
        mcu::platform::write_console("executorch: ");
        mcu::platform::write_console({message, length});
        mcu::platform::write_console("\n");
    }
}

void* et_pal_allocate(size_t) {
    return nullptr;
}

void et_pal_free(void*) {}

}  // extern "C"
