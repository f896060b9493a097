// Program slots: a region of flash with room for two programs, so that one can be replaced while the other
// stays whole. Plain C++: neither ExecuTorch nor a platform is needed.
//
// Why a cut of power does no harm: an update touches only the slot that is not running, erases its header
// first and writes its magic last, in one unit. And whatever a cut leaves in a slot, its checksum must hold.
//
// A slot is one half of the region. It begins with what `mcu-build program --into` writes, little-endian:
//   0  magic "MCUP"; written last, so that a slot whose update was cut off has none
//   4  CRC-32 (as zlib's) of bytes 8 to 32 + length
//   8  format of this header: 1; 2: the program is signed
//  12  sequence: of two programs, the one with the greater number is the newer
//  16  length of the program in bytes
//  20  identifier of the program's schema, bytes 4 to 7 of a .pte: "ET12"; of a plan that is data: "PM01"
//  24  the first 8 bytes of the SHA-256 of the names of the firmware's operators, or of what its kernels are:
//      sorted, each with a newline
//  32  the program, zeros up to a multiple of 4 bytes, where it is signed the Ed25519 signature (64 bytes) of
//      bytes 8 to 32 + length, and the end mark "MCUE"

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mcu/crc32.h"

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
    kNotOurs,         // the one slot is MCUboot's: it alone writes there
    kNotSigned,       // it has no signature, and the firmware takes signed programs alone
    kOtherKey,        // its signature is not that of the firmware's key
};

// A few words on a status, for a log.
inline const char* words(Status status);

inline constexpr size_t kHeaderBytes = 32;
inline constexpr int kNone = -1;

// Who signs programs: a public key, and what verifies the signature of two pieces, one after the other.
struct Signer {
    const unsigned char* key = nullptr;
    bool (*verify)(const unsigned char* key, std::span<const unsigned char> first,
                   std::span<const unsigned char> second, const unsigned char* signature) = nullptr;
};

// What the firmware can run, as headers tell it. Without a signer it takes any program.
struct Firmware {
    uint32_t schema;
    uint64_t operators;
    Signer signer{};
};

// The region, and what was last found in it.
struct Slots {
    std::span<const unsigned char> bytes;  // both slots, where the core reads them
    Firmware firmware;
    bool is_single = false;  // one slot, whose program MCUboot has verified and alone replaces
    Status status[2] = {Status::kEmpty, Status::kEmpty};
    int running = kNone;  // the slot of the program that is loaded

    std::span<const unsigned char> slot(int index) const {
        if (is_single) {
            return index == 0 ? bytes : bytes.last(0);
        }
        const size_t half = bytes.size() / 2;
        return bytes.subspan(index == 0 ? 0 : half, half);
    }
};

// Whether a slot holds a whole program that `firmware` can run.
inline Status check(std::span<const unsigned char> slot, const Firmware& firmware);
// The program in a slot that check() approves of.
inline std::span<const unsigned char> program(std::span<const unsigned char> slot);

// Checks both slots.
inline void look(Slots& slots);
// Of the slots whose status is kOk, the one with the newer program; kNone where there is none.
inline int newest(const Slots& slots);

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

namespace detail {

inline constexpr uint32_t kMagic = 0x5055434D;  // "MCUP"
inline constexpr uint32_t kEnd = 0x4555434D;    // "MCUE"
inline constexpr uint32_t kErased = 0xFFFFFFFF;
inline constexpr uint32_t kUnsigned = 1;
inline constexpr uint32_t kSigned = 2;
inline constexpr size_t kSignatureBytes = 64;
inline constexpr size_t kChecked = 8;  // the checksum begins here
inline constexpr size_t kEndBytes = 4;

inline constexpr unsigned char kErasedByte = 0xFF;

using Bytes = std::span<const unsigned char>;

inline uint32_t word(Bytes bytes, size_t at) {
    return bytes[at] | uint32_t{bytes[at + 1]} << 8 | uint32_t{bytes[at + 2]} << 16 |
           uint32_t{bytes[at + 3]} << 24;
}

inline uint32_t sequence(Bytes header) {
    return word(header, 12);
}

inline uint32_t length(Bytes header) {
    return word(header, 16);
}

inline bool is_signed(Bytes header) {
    return word(header, 8) == kSigned;
}

// Where the program with its padding ends. `length` must fit.
inline size_t end_of_program(Bytes header) {
    return kHeaderBytes + (size_t{length(header)} + 3) / 4 * 4;
}

// Where the end mark begins.
inline size_t end_of(Bytes header) {
    return end_of_program(header) + (is_signed(header) ? kSignatureBytes : 0);
}

// Schemas are "ET" and two digits: they compare as text does.
inline uint32_t age(uint32_t schema) {
    return schema << 24 | (schema << 8 & 0xFF0000) | (schema >> 8 & 0xFF00) | schema >> 24;
}

// What can be determined before the program is there.
inline Status check_shape(Bytes header, size_t capacity) {
    const uint32_t magic = word(header, 0);
    if (magic != kMagic) {
        return magic == kErased ? Status::kEmpty : Status::kNoProgram;
    }
    if (word(header, 8) != kUnsigned && !is_signed(header)) {
        return word(header, 8) > kSigned ? Status::kTooNew : Status::kTooOld;
    }
    if (capacity < kHeaderBytes + kEndBytes || length(header) > capacity - kHeaderBytes - kEndBytes ||
        end_of(header) > capacity - kEndBytes) {
        return Status::kTooLarge;
    }
    return Status::kOk;
}

inline Status check_fit(Bytes header, const Firmware& firmware) {
    const uint32_t schema = word(header, 20);
    if (schema != firmware.schema) {
        return age(schema) > age(firmware.schema) ? Status::kTooNew : Status::kTooOld;
    }
    if (firmware.signer.verify != nullptr && !is_signed(header)) {
        return Status::kNotSigned;
    }
    const uint64_t operators = word(header, 24) | uint64_t{word(header, 28)} << 32;
    return operators == firmware.operators ? Status::kOk : Status::kOtherOperators;
}

// The program in `slot` against its header, which may not be there yet.
inline Status check_content(Bytes header, Bytes slot, const Signer& signer) {
    if (word(slot, end_of(header)) != kEnd) {
        return Status::kTruncated;
    }
    const Bytes described = header.subspan(kChecked, kHeaderBytes - kChecked);
    const Bytes body = slot.subspan(kHeaderBytes, length(header));
    if (~crc32(crc32(kErased, described), body) != word(header, 4)) {
        return Status::kCorrupted;
    }
    if (signer.verify == nullptr || !is_signed(header)) {
        return Status::kOk;
    }
    const unsigned char* signature = slot.data() + end_of_program(header);
    return signer.verify(signer.key, described, body, signature) ? Status::kOk : Status::kOtherKey;
}

inline int keep(Slots& slots) {
    if (slots.running == kNone) {
        look(slots);
        return newest(slots);
    }
    return slots.running;
}

}  // namespace detail

using namespace detail;

inline const char* words(Status status) {
    switch (status) {
        case Status::kOk:
            return "ok";
        case Status::kEmpty:
            return "empty";
        case Status::kNoProgram:
            return "no program";
        case Status::kTruncated:
            return "truncated";
        case Status::kCorrupted:
            return "corrupted";
        case Status::kTooLarge:
            return "too large";
        case Status::kTooNew:
            return "too new";
        case Status::kTooOld:
            return "too old";
        case Status::kOtherOperators:
            return "made for other operators";
        case Status::kNotNewer:
            return "not newer";
        case Status::kNotLoaded:
            return "cannot be loaded";
        case Status::kFlashFailed:
            return "flash failed";
        case Status::kNotOurs:
            return "the slot is MCUboot's";
        case Status::kNotSigned:
            return "not signed";
        case Status::kOtherKey:
            return "signed with another key";
    }
    return "?";
}

inline Status check(Bytes slot, const Firmware& firmware) {
    if (slot.size() < kHeaderBytes) {
        return Status::kTruncated;
    }
    const Bytes header = slot.first(kHeaderBytes);
    Status status = check_shape(header, slot.size());
    if (status == Status::kOk) {
        status = check_content(header, slot, firmware.signer);
    }
    return status == Status::kOk ? check_fit(header, firmware) : status;
}

inline Bytes program(Bytes slot) {
    return slot.subspan(kHeaderBytes, length(slot));
}

inline void look(Slots& slots) {
    for (int index = 0; index < (slots.is_single ? 1 : 2); ++index) {
        slots.status[index] = check(slots.slot(index), slots.firmware);
    }
}

inline int newest(const Slots& slots) {
    int found = kNone;
    for (int index = 0; index < 2; ++index) {
        if (slots.status[index] == Status::kOk &&
            (found == kNone || sequence(slots.slot(index)) > sequence(slots.slot(found)))) {
            found = index;
        }
    }
    return found;
}

inline Update::Update(Slots& slots, Flash& flash)
    : slots_(slots), flash_(flash), running_(keep(slots)), target_(running_ == 0 ? 1 : 0) {
    const size_t unit = flash.unit_bytes;
    const size_t page = flash.page_bytes;
    if (unit == 0 || kHeaderBytes % unit != 0 || page % kHeaderBytes != 0 || page == 0 ||
        slots.slot(0).size() % page != 0) {
        status_ = Status::kFlashFailed;
    }
    if (slots.is_single) {
        status_ = Status::kNotOurs;
    }
}

inline Status Update::add(Bytes bytes) {
    for (const unsigned char byte : bytes) {
        if (status_ != Status::kOk) {
            break;
        }
        status_ = put(byte);
    }
    return status_;
}

inline Status Update::put(unsigned char byte) {
    if (received_ < kHeaderBytes) {
        header_[received_++] = byte;
        return received_ == kHeaderBytes ? begin() : Status::kOk;
    }
    if (received_ == file_bytes_) {
        return Status::kTooLarge;
    }
    const size_t within = received_ % flash_.unit_bytes;
    unit_[within] = byte;
    ++received_;
    if (within + 1 == flash_.unit_bytes && !write(received_ - flash_.unit_bytes, unit_)) {
        return Status::kFlashFailed;
    }
    return Status::kOk;
}

// The header is there: refuses the program, or erases the pages that it takes.
inline Status Update::begin() {
    const Bytes slot = slots_.slot(target_);
    Status status = check_shape(header_, slot.size());
    if (status == Status::kOk) {
        status = check_fit(header_, slots_.firmware);
    }
    if (status != Status::kOk) {
        return status;
    }
    if (running_ != kNone && sequence(header_) <= sequence(slots_.slot(running_))) {
        return Status::kNotNewer;
    }
    file_bytes_ = end_of(header_) + kEndBytes;
    slots_.status[target_] = Status::kEmpty;
    const size_t start = target_ == 0 ? 0 : slot.size();
    for (size_t page = 0; page < file_bytes_; page += flash_.page_bytes) {
        if (!flash_.erase(start + page)) {
            return Status::kFlashFailed;
        }
    }
    return Status::kOk;
}

inline Status Update::finish() {
    if (status_ == Status::kOk && (received_ < kHeaderBytes || received_ < file_bytes_)) {
        status_ = Status::kTruncated;
    }
    if (status_ == Status::kOk) {
        status_ = commit();
    }
    return status_;
}

inline Status Update::commit() {
    const size_t within = file_bytes_ % flash_.unit_bytes;
    if (within != 0) {
        std::fill(unit_ + within, unit_ + flash_.unit_bytes, kErasedByte);
        if (!write(file_bytes_ - within, unit_)) {
            return Status::kFlashFailed;
        }
    }
    const Bytes slot = slots_.slot(target_);
    if (const Status status = check_content(header_, slot, slots_.firmware.signer); status != Status::kOk) {
        return status;
    }
    // Back to front: the magic comes last.
    for (size_t offset = kHeaderBytes; offset != 0;) {
        offset -= flash_.unit_bytes;
        if (!write(offset, header_ + offset)) {
            return Status::kFlashFailed;
        }
    }
    const Status status = check(slot, slots_.firmware);
    slots_.status[target_] = status;
    return status == Status::kOk ? status : Status::kFlashFailed;
}

// A unit at an offset into the target.
inline bool Update::write(size_t offset, const unsigned char* unit) {
    const size_t start = target_ == 0 ? 0 : slots_.slot(target_).size();
    return flash_.write(start + offset, {unit, flash_.unit_bytes});
}

}  // namespace mcu::slot
