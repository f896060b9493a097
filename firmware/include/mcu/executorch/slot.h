// Program slots: a region of flash with room for two programs, so that one can be replaced while the other
// stays whole. Plain C++: neither ExecuTorch nor a platform is needed.
//
// A slot is one half of the region. It begins with what `mcu-build program --into` writes, little-endian:
//   0  magic "MCUP"; written last, so that a slot whose update was cut off has none
//   4  CRC-32 (as zlib's) of bytes 8 to 32 + length
//   8  format of this header: 1
//  12  sequence: of two programs, the one with the greater number is the newer
//  16  length of the program in bytes
//  20  identifier of the program's schema, bytes 4 to 7 of a .pte: "ET12"
//  24  the first 8 bytes of the SHA-256 of the names of the firmware's operators: sorted, each with a newline
//  32  the program, zeros up to a multiple of 4 bytes, and the end mark "MCUE"

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mcu::slot {

enum class Status : int32_t {
    kOk = 0,
    kEmpty,           // erased, or an update of it was cut off
    kNoProgram,       // it holds something else
    kTruncated,       // its end is missing
    kCorrupted,       // its checksum is wrong
    kTooLarge,        // it is longer than a slot
    kTooNew,          // made for a newer firmware or a newer ExecuTorch
    kTooOld,          // made for an older one
    kOtherOperators,  // made for firmware with other operators
    kNotNewer,        // its sequence is not greater than that of the program that runs
    kNotLoaded,       // whole, but it could not be loaded: its memory, inputs or outputs do not fit
    kFlashFailed,     // the flash could not be erased or written
};

// A few words on a status, for a log.
const char* words(Status status);

inline constexpr size_t kHeaderBytes = 32;
inline constexpr int kNone = -1;

// What the firmware can run, as headers tell it.
struct Firmware {
    uint32_t schema;
    uint64_t operators;
};

// The region, and what was last found in it.
struct Slots {
    std::span<const unsigned char> bytes;  // both slots, where the core reads them
    Firmware firmware;
    Status status[2] = {Status::kEmpty, Status::kEmpty};
    int running = kNone;  // the slot of the program that is loaded

    std::span<const unsigned char> slot(int index) const {
        const size_t half = bytes.size() / 2;
        return bytes.subspan(index == 0 ? 0 : half, half);
    }
};

// Whether a slot holds a whole program that `firmware` can run.
Status check(std::span<const unsigned char> slot, const Firmware& firmware);
// The program in a slot that check() approves of.
std::span<const unsigned char> program(std::span<const unsigned char> slot);

// Checks both slots.
void look(Slots& slots);
// Of the slots whose status is kOk, the one with the newer program; kNone where there is none.
int newest(const Slots& slots);

// The flash below the region, as the application's driver writes it. Offsets count from the region's start.
class Flash {
public:
    // Pages divide a slot; a unit is a power of 2 of 32 bytes at most.
    Flash(size_t page_bytes, size_t unit_bytes) : page_bytes(page_bytes), unit_bytes(unit_bytes) {}
    // Both return whether it worked, and only when it is done. A core with a cache drops what it holds of it.
    virtual bool erase(size_t page_offset) = 0;
    virtual bool write(size_t offset, std::span<const unsigned char> unit) = 0;

    const size_t page_bytes;
    const size_t unit_bytes;

protected:
    ~Flash() = default;
};

// Writes a program into the slot that is not running. Until finish() approves of it, the other one is what
// the next start loads, whenever the power goes.
//
// A program that the header gives away as unfit is refused before anything is erased. After a failure every
// call returns the same status; another Update may be tried.
class Update {
public:
    Update(Slots& slots, Flash& flash);

    // The file of `mcu-build program --into`, in pieces of any length.
    Status add(std::span<const unsigned char> bytes);
    // Verifies what was written, then makes it the newer program. load() of the model switches to it.
    Status finish();

private:
    Status begin();
    Status put(unsigned char byte);
    Status commit();
    bool write(size_t offset, const unsigned char* unit);

    Slots& slots_;
    Flash& flash_;
    const int running_;
    const int target_;
    Status status_ = Status::kOk;
    size_t received_ = 0;
    size_t file_bytes_ = 0;
    unsigned char header_[kHeaderBytes]{};
    unsigned char unit_[kHeaderBytes]{};
};

}  // namespace mcu::slot
