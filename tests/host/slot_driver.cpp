// Drives firmware/include/mcu/slot.h over a flash of the computer's memory.
//
//   slot_driver check OPERATORS REGION                     the status of both slots, and which would be
//   loaded slot_driver update OPERATORS REGION PAGE UNIT FILE     a whole update, in pieces; REGION is
//   rewritten slot_driver cuts OPERATORS HALF PAGE UNIT KEEP FILES   an update by the last of FILES with the
//   power cut
//                                                          at every access to the flash
// SLOT_KEY in the environment, in hexadecimal digits: the firmware takes programs that are signed with it.
// KEEP is "right" or, as a control, "wrong": the update takes the slot that is not running for the running
// one.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "mcu/ed25519.h"
#include "mcu/slot.h"

namespace slot = mcu::slot;
using Memory = std::vector<unsigned char>;

namespace {

struct PowerCut {};

enum class Torn { kNotAtAll, kHalf, kGarbage, kWhole };
constexpr Torn kTorn[] = {Torn::kNotAtAll, Torn::kHalf, Torn::kGarbage, Torn::kWhole};

[[noreturn]] void fail(const char* why) {
    std::fprintf(stderr, "slot_driver: %s\n", why);
    std::exit(1);
}

// NOR flash: pages are erased to ones, and a unit is written once. The access number `cut` is the last, and
// is left as `torn` says.
class Simulated final : public slot::Flash {
public:
    Simulated(Memory& memory, size_t page, size_t unit, long cut, Torn torn)
        : Flash(page, unit), memory_(memory), cut_(cut), torn_(torn) {}

    bool erase(size_t offset) override {
        if (offset % page_bytes != 0 || offset + page_bytes > memory_.size()) {
            fail("an erase that is no page");
        }
        access(offset, Memory(page_bytes, 0xFF));
        return true;
    }

    bool write(size_t offset, std::span<const unsigned char> unit) override {
        if (unit.size() != unit_bytes || offset % unit_bytes != 0 || offset + unit_bytes > memory_.size()) {
            fail("a write that is no unit");
        }
        for (size_t i = 0; i < unit.size(); ++i) {
            if (memory_[offset + i] != 0xFF) {
                fail("a unit is written that is not erased");
            }
        }
        access(offset, Memory(unit.begin(), unit.end()));
        return true;
    }

    long accesses = 0;

private:
    void access(size_t offset, const Memory& bytes) {
        const bool last = ++accesses == cut_;
        for (size_t i = 0; i < bytes.size(); ++i) {
            auto& at = memory_[offset + i];
            if (!last || torn_ == Torn::kWhole || (torn_ == Torn::kHalf && i < bytes.size() / 2)) {
                at = bytes[i];
            } else if (torn_ == Torn::kGarbage) {
                state_ = state_ * 1664525 + 1013904223;
                // Some of the bits have changed already.
                const auto some = static_cast<unsigned char>(state_ >> 24);
                at = static_cast<unsigned char>((at & some) | (bytes[i] & ~some));
            }
        }
        if (last) {
            throw PowerCut();
        }
    }

    Memory& memory_;
    long cut_;
    Torn torn_;
    uint32_t state_ = 1;
};

Memory read(const char* name) {
    std::ifstream file(name, std::ios::binary);
    if (!file) {
        fail(name);
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

slot::Signer signer() {
    static unsigned char key[mcu::ed25519::kKeyBytes];
    const char* digits = std::getenv("SLOT_KEY");
    if (digits == nullptr) {
        return {};
    }
    for (size_t at = 0; at < sizeof(key); ++at) {
        key[at] = static_cast<unsigned char>(std::stoi(std::string(digits + 2 * at, 2), nullptr, 16));
    }
    return {key, mcu::ed25519::verify};
}

slot::Slots booted(const Memory& memory, uint64_t operators) {
    slot::Slots slots{memory, {0x32315445, operators, signer()}};
    look(slots);
    slots.running = newest(slots);
    return slots;
}

slot::Status update(slot::Slots& slots, slot::Flash& flash, const Memory& file) {
    slot::Update update(slots, flash);
    // In pieces that are no multiple of anything.
    for (size_t at = 0; at < file.size(); at += 7) {
        update.add({file.data() + at, std::min<size_t>(7, file.size() - at)});
    }
    return update.finish();
}

void tell(const slot::Slots& slots) {
    std::printf("%s\n%s\n%d\n", words(slots.status[0]), words(slots.status[1]), newest(slots));
}

struct Cuts {
    uint64_t operators;
    size_t page;
    size_t unit;
    bool right;
    const Memory& before;  // the file that runs
    const Memory& after;   // the file of the update
    long boots = 0, old = 0, fresh = 0, none = 0;

    bool runs(const Memory& memory, const Memory& file) const {
        const auto slots = booted(memory, operators);
        if (slots.running == slot::kNone) {
            return false;
        }
        const auto found = slot::program(slots.slot(slots.running));
        const auto wanted = slot::program(file);
        return found.size() == wanted.size() && std::memcmp(found.data(), wanted.data(), found.size()) == 0;
    }

    // Returns whether the power was cut.
    bool attempt(Memory& memory, long cut, Torn torn) const {
        auto slots = booted(memory, operators);
        if (!right && slots.running != slot::kNone) {
            slots.running = 1 - slots.running;
        }
        Simulated flash(memory, page, unit, cut, torn);
        try {
            if (update(slots, flash, after) != slot::Status::kOk) {
                fail("an update without a cut does not succeed");
            }
        } catch (const PowerCut&) {
            return true;
        }
        return false;
    }

    void boot(const Memory& memory) {
        ++boots;
        if (runs(memory, after)) {
            ++fresh;
        } else if (runs(memory, before)) {
            ++old;
        } else {
            ++none;
        }
    }

    // Every cut of an update, then every cut of the next try, then one without.
    void all(const Memory& start) {
        for (const Torn torn : kTorn) {
            for (long cut = 1;; ++cut) {
                Memory once = start;
                if (!attempt(once, cut, torn)) {
                    break;
                }
                boot(once);
                if (right && !runs(once, after)) {
                    again(once, torn);
                }
            }
        }
    }

    void again(const Memory& start, Torn torn) {
        for (long cut = 1;; ++cut) {
            Memory twice = start;
            const bool cut_off = attempt(twice, cut, torn);
            boot(twice);
            if (!cut_off) {
                if (!runs(twice, after)) {
                    fail("a whole update behind one that was cut off does not run");
                }
                break;
            }
        }
    }
};

}  // namespace

int main(int count, char** words) {
    const std::string verb = words[1];
    const uint64_t operators = std::strtoull(words[2], nullptr, 16);
    if (verb == "check") {
        const Memory region = read(words[3]);
        tell(booted(region, operators));
        return 0;
    }
    const size_t page = std::strtoul(words[4], nullptr, 10);
    const size_t unit = std::strtoul(words[5], nullptr, 10);
    if (verb == "update") {
        Memory region = read(words[3]);
        auto slots = booted(region, operators);
        Simulated flash(region, page, unit, 0, Torn::kWhole);
        std::printf("%s\n", slot::words(update(slots, flash, read(words[6]))));
        tell(slots);
        std::ofstream(words[3], std::ios::binary)
            .write(reinterpret_cast<char*>(region.data()), static_cast<long>(region.size()));
        return flash.accesses > 0 ? 0 : 3;
    }
    Memory region(2 * std::strtoul(words[3], nullptr, 10), 0xFF);
    std::vector<Memory> files;
    for (int index = 7; index < count; ++index) {
        files.push_back(read(words[index]));
    }
    for (size_t index = 0; index + 1 < files.size(); ++index) {
        auto slots = booted(region, operators);
        Simulated flash(region, page, unit, 0, Torn::kWhole);
        if (update(slots, flash, files[index]) != slot::Status::kOk) {
            fail("the programs before cannot be written");
        }
    }
    if (std::strcmp(words[6], "wrong") == 0) {
        // The older of two programs: nothing is left to fall back on.
        region[region.size() / 2 * ((files.size() - 1) % 2) + slot::kHeaderBytes] ^= 1;
    }
    Cuts cuts{operators,   page, unit, std::strcmp(words[6], "right") == 0, files[files.size() - 2],
              files.back()};
    cuts.all(region);
    std::printf("%ld %ld %ld %ld\n", cuts.boots, cuts.old, cuts.fresh, cuts.none);
    return 0;
}
