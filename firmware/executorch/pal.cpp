// What ExecuTorch asks of its platform: an end, and a place for what it has to say. There is no heap and no
// clock.
//
// On a core (MCU_NO_HEAP) it asks the C and C++ libraries, too: for abort(), for the heap that destructors of
// its classes name though nothing is ever deleted, and for text.

#include <executorch/runtime/platform/platform.h>

#include <cstddef>
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

#ifdef MCU_NO_HEAP

extern "C" {

void abort() {
    et_pal_abort();
}

// ExecuTorch formats numbers with the C library, whose printf family names a heap and files though it needs
// neither for that. Weak: an application may have its own.
__attribute__((weak)) void* _sbrk(std::ptrdiff_t) {
    return reinterpret_cast<void*>(-1);
}
__attribute__((weak)) int _write(int, const char*, int) {
    return -1;
}
__attribute__((weak)) int _read(int, char*, int) {
    return -1;
}
__attribute__((weak)) int _close(int) {
    return -1;
}
__attribute__((weak)) int _lseek(int, int, int) {
    return -1;
}
__attribute__((weak)) int _fstat(int, void*) {
    return -1;
}
__attribute__((weak)) int _isatty(int) {
    return 0;
}

}  // extern "C"

void operator delete(void*) noexcept {
    et_pal_abort();
}

void operator delete(void*, std::size_t) noexcept {
    et_pal_abort();
}

#endif
