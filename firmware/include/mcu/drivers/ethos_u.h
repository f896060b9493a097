// Runs command streams on an Ethos-U55, U65 or U85.
//
// One job at a time, from one thread, without a heap. The board says where the NPU is and which interrupt it
// raises (MCU_NPU_BASE, MCU_NPU_IRQ); a native program has a model of it at the end of a link. References:
// Arm 102420 (U55), 102023 (U65), 102685 (U85).

#pragma once

#include <cstddef>
#include <cstdint>

namespace mcu::ethos_u {

enum class Error : uint8_t {
    kNone,
    kAlignment,      // the command stream or a region does not start at a multiple of 16, or is too short
    kNoNpu,          // nothing answers at the NPU's address
    kReset,          // the reset does not end, or leaves another privilege or security level
    kProduct,        // the stream is for another product: U55, U65 or U85
    kMacs,           // the stream is for an NPU with another number of MACs
    kStreamVersion,  // the stream is in another version of the command format
    kArchitecture,   // the stream is for a later architecture than the NPU's
    kBus,            // the NPU met memory that it cannot reach
    kCommand,        // the stream holds a command that the NPU does not take
    kWatchdog,       // a part of the NPU stood still
    kEcc,            // a memory inside the NPU has lost bits
    kBranch,         // a branch of the stream leads out of it (U85)
    kIncomplete,     // the NPU stopped before the end of the stream
    kBusy,           // a job that was started has not been finished
};

const char* in_words(Error error);

// Which register describes the memory behind an access of the NPU: AXI_LIMIT0..3 (U55, U65) or MEM_ATTR0..3
// (U85). 0 and 1 go through the port of the fast memory, 2 and 3 through that of the large one.
struct Ports {
    uint8_t commands = 2;
    uint8_t weights = 3;
    uint8_t scratch = 0;
    uint8_t fast_scratch = 1;
};

// Memory: where it begins, and its bytes.
struct Bytes {
    void* data = nullptr;
    size_t size = 0;
};
struct ConstBytes {
    const void* data = nullptr;
    size_t size = 0;
};

struct Job {
    // Register commands, what follows the header of the compiler's payload; starts at a multiple of 16.
    ConstBytes commands;
    // CONFIG and ID of the NPU that the stream is for.
    uint32_t configuration;
    uint32_t id;
    // Regions 0, 1 and 2, each at a multiple of 16. Inputs and outputs lie in the scratch region.
    ConstBytes weights;
    Bytes scratch;
    Bytes fast_scratch = {};
    Ports ports = {};
};

enum class Wait : uint8_t {
    kInterrupt,  // sleep until the NPU's interrupt
    kPoll,       // read STATUS until the NPU stops; the interrupt stays off
};

// What the NPU's counters say of a job. Beats are bus transfers: through the port of the fast memory (0:
// AXI0, SRAM) and of the large one (1: AXI1, external).
struct Counters {
    uint64_t cycles;
    uint32_t read_beats[2];
    uint32_t write_beats[2];
};

struct Result {
    Error error;
    uint32_t status;   // STATUS at the end; 0 where nothing ran
    uint32_t command;  // QREAD: bytes of the stream that were read
};

// Whether an NPU answers.
bool is_present();

// Whether it runs streams for an NPU with these registers CONFIG and ID: kNone, or what is different.
Error check(uint32_t configuration, uint32_t id);

// Reset the NPU, check that the stream is for it, run the stream to its end. Data caches are written back and
// invalidated where they are on. `counters`, where given, are filled after a run.
Result run(const Job& job, Wait wait = Wait::kInterrupt, Counters* counters = nullptr);

// What the NPU's interrupt calls when a job that was started has ended. It may not call the driver.
struct Done {
    void (*function)(void* context) = nullptr;
    void* context = nullptr;
};

// As run(), but returns while the NPU works. Until finish() the job's memory is the NPU's, and its spans have
// to stay valid. On an error nothing has started, and `done` is not called.
Error start(const Job& job, Done done = {}, Counters* counters = nullptr);

// Waits for the job that was started, if it has not ended yet, and takes its memory back.
Result finish();

// Prints the error in words, or says it to the application, and ends the program.
[[noreturn]] void stop(const Result& result);

// The NPU's interrupt: ours comes here by itself. An application with a vector table of its own calls this.
// Nothing happens where no job is running.
void handle_interrupt();

}  // namespace mcu::ethos_u
