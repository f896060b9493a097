// What the C library asks of a platform for printf and the like: they write to the console, and there is
// nothing to read. An image that calls none of them contains nothing of this.

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <string_view>

#include "mcu/platform.h"

namespace {

#ifndef MCU_STDIO_MEMORY
// newlib's printf needs memory for a line, and for the digits of floats. Its malloc takes what is left of a
// page of 4096 bytes, then a whole one: wherever the memory begins, 4 KB at least are of use, enough for any
// double.
#define MCU_STDIO_MEMORY 8192
#endif

alignas(8) char memory[MCU_STDIO_MEMORY];
size_t taken;

}  // namespace

extern "C" {
int _write(int /*file*/, const char* bytes, int count) {
    mcu::platform::write_console(std::string_view(bytes, static_cast<size_t>(count)));
    return count;
}

void* _sbrk(ptrdiff_t bytes) {
    if (bytes > static_cast<ptrdiff_t>(sizeof(memory) - taken)) {
        errno = ENOMEM;
        return reinterpret_cast<void*>(-1);
    }
    char* const start = memory + taken;
    taken += static_cast<size_t>(bytes);
    return start;
}

int _read(int /*file*/, char* /*bytes*/, int /*count*/) {
    return 0;
}

int _close(int /*file*/) {
    return -1;
}

int _lseek(int /*file*/, int /*offset*/, int /*from*/) {
    return 0;
}

// A terminal: lines are written when they end.
int _fstat(int /*file*/, struct stat* status) {
    status->st_mode = S_IFCHR;
    status->st_blksize = 256;
    return 0;
}

int _isatty(int /*file*/) {
    return 1;
}

void _exit(int status) {
    mcu::platform::exit(static_cast<mcu::platform::Status>(status));
}

int _kill(int /*process*/, int /*signal*/) {
    errno = EINVAL;
    return -1;
}

int _getpid() {
    return 1;
}
}
