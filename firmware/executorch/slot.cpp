// Program slots: see mcu/executorch/slot.h for the layout.
//
// Why a cut of power does no harm: an update touches only the slot that is not running, erases its header
// first and writes its magic last, in one unit. And whatever a cut leaves in a slot, its checksum must hold.

#include "mcu/executorch/slot.h"

#include <algorithm>

namespace mcu::slot {

namespace {

constexpr uint32_t kMagic = 0x5055434D;  // "MCUP"
constexpr uint32_t kEnd = 0x4555434D;    // "MCUE"
constexpr uint32_t kErased = 0xFFFFFFFF;
constexpr uint32_t kFormat = 1;
constexpr size_t kChecked = 8;  // the checksum begins here
constexpr size_t kEndBytes = 4;

constexpr unsigned char kErasedByte = 0xFF;

using Bytes = std::span<const unsigned char>;

uint32_t word(Bytes bytes, size_t at) {
    return bytes[at] | uint32_t{bytes[at + 1]} << 8 | uint32_t{bytes[at + 2]} << 16 |
           uint32_t{bytes[at + 3]} << 24;
}

uint32_t sequence(Bytes header) {
    return word(header, 12);
}

uint32_t length(Bytes header) {
    return word(header, 16);
}

// Where the end mark begins. `length` must fit.
size_t end_of(Bytes header) {
    return kHeaderBytes + (size_t{length(header)} + 3) / 4 * 4;
}

// CRC-32 of IEEE 802.3, reflected, polynomial 0x04C11DB7; four bits a step keep the table in 64 bytes.
uint32_t crc32(uint32_t crc, Bytes bytes) {
    static constexpr uint32_t kTable[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (const unsigned char byte : bytes) {
        crc ^= byte;
        crc = crc >> 4 ^ kTable[crc & 0xF];
        crc = crc >> 4 ^ kTable[crc & 0xF];
    }
    return crc;
}

// Schemas are "ET" and two digits: they compare as text does.
uint32_t age(uint32_t schema) {
    return schema << 24 | (schema << 8 & 0xFF0000) | (schema >> 8 & 0xFF00) | schema >> 24;
}

// What can be told before the program is there.
Status check_shape(Bytes header, size_t capacity) {
    const uint32_t magic = word(header, 0);
    if (magic != kMagic) {
        return magic == kErased ? Status::kEmpty : Status::kNoProgram;
    }
    if (word(header, 8) != kFormat) {
        return word(header, 8) > kFormat ? Status::kTooNew : Status::kTooOld;
    }
    if (capacity < kHeaderBytes + kEndBytes || length(header) > capacity - kHeaderBytes - kEndBytes ||
        end_of(header) > capacity - kEndBytes) {
        return Status::kTooLarge;
    }
    return Status::kOk;
}

Status check_fit(Bytes header, const Firmware& firmware) {
    const uint32_t schema = word(header, 20);
    if (schema != firmware.schema) {
        return age(schema) > age(firmware.schema) ? Status::kTooNew : Status::kTooOld;
    }
    const uint64_t operators = word(header, 24) | uint64_t{word(header, 28)} << 32;
    return operators == firmware.operators ? Status::kOk : Status::kOtherOperators;
}

// The program in `slot` against its header, which may not be there yet.
Status check_content(Bytes header, Bytes slot) {
    if (word(slot, end_of(header)) != kEnd) {
        return Status::kTruncated;
    }
    uint32_t crc = crc32(kErased, header.subspan(kChecked, kHeaderBytes - kChecked));
    crc = crc32(crc, slot.subspan(kHeaderBytes, length(header)));
    return ~crc == word(header, 4) ? Status::kOk : Status::kCorrupted;
}

int keep(Slots& slots) {
    if (slots.running == kNone) {
        look(slots);
        return newest(slots);
    }
    return slots.running;
}

}  // namespace

const char* words(Status status) {
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
    }
    return "?";
}

Status check(Bytes slot, const Firmware& firmware) {
    if (slot.size() < kHeaderBytes) {
        return Status::kTruncated;
    }
    const Bytes header = slot.first(kHeaderBytes);
    Status status = check_shape(header, slot.size());
    if (status == Status::kOk) {
        status = check_content(header, slot);
    }
    return status == Status::kOk ? check_fit(header, firmware) : status;
}

Bytes program(Bytes slot) {
    return slot.subspan(kHeaderBytes, length(slot));
}

void look(Slots& slots) {
    for (int index = 0; index < 2; ++index) {
        slots.status[index] = check(slots.slot(index), slots.firmware);
    }
}

int newest(const Slots& slots) {
    int found = kNone;
    for (int index = 0; index < 2; ++index) {
        if (slots.status[index] == Status::kOk &&
            (found == kNone || sequence(slots.slot(index)) > sequence(slots.slot(found)))) {
            found = index;
        }
    }
    return found;
}

Update::Update(Slots& slots, Flash& flash)
    : slots_(slots), flash_(flash), running_(keep(slots)), target_(running_ == 0 ? 1 : 0) {
    const size_t unit = flash.unit_bytes;
    const size_t page = flash.page_bytes;
    if (unit == 0 || kHeaderBytes % unit != 0 || page % kHeaderBytes != 0 || page == 0 ||
        slots.slot(0).size() % page != 0) {
        status_ = Status::kFlashFailed;
    }
}

Status Update::add(Bytes bytes) {
    for (const unsigned char byte : bytes) {
        if (status_ != Status::kOk) {
            break;
        }
        status_ = put(byte);
    }
    return status_;
}

Status Update::put(unsigned char byte) {
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
Status Update::begin() {
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

Status Update::finish() {
    if (status_ == Status::kOk && (received_ < kHeaderBytes || received_ < file_bytes_)) {
        status_ = Status::kTruncated;
    }
    if (status_ == Status::kOk) {
        status_ = commit();
    }
    return status_;
}

Status Update::commit() {
    const size_t within = file_bytes_ % flash_.unit_bytes;
    if (within != 0) {
        std::fill(unit_ + within, unit_ + flash_.unit_bytes, kErasedByte);
        if (!write(file_bytes_ - within, unit_)) {
            return Status::kFlashFailed;
        }
    }
    const Bytes slot = slots_.slot(target_);
    if (const Status status = check_content(header_, slot); status != Status::kOk) {
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
bool Update::write(size_t offset, const unsigned char* unit) {
    const size_t start = target_ == 0 ? 0 : slots_.slot(target_).size();
    return flash_.write(start + offset, {unit, flash_.unit_bytes});
}

}  // namespace mcu::slot
