// The driver of Ethos-U55, U65 and U85: see mcu/drivers/ethos_u.h.

#include "mcu/drivers/ethos_u.h"

#include "bus.h"
#include "registers.h"

namespace mcu::ethos_u {
namespace {

using bus::npu;

enum Product : uint32_t { kU55 = 0, kU65 = 1, kU85 = 2 };

// A reset takes some hundred cycles; a few reads of STATUS outlast it.
constexpr int kResetPolls = 10000;
constexpr uintptr_t kAlignment = 16;

// Whether the NPU has a job that nobody has finished.
volatile bool is_running;
// Written by the interrupt.
volatile bool finished;
volatile uint32_t final_status;

// What start() has left to the NPU. It costs images that call run() alone nothing but the pointer.
struct Started {
    Job job;
    Done done;
    Counters* counters;
};
Started started = {};
const Done* volatile done_of_started;

uint32_t field(uint32_t word, unsigned bit, unsigned width) {
    return (word >> bit) & ((1u << width) - 1);
}

void write_address(uintptr_t offset, const void* address) {
    const uint64_t wide = bus::address(address);
    npu(offset) = static_cast<uint32_t>(wide);
    npu(offset + 4) = static_cast<uint32_t>(wide >> 32);
}

bool is_aligned(const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % kAlignment == 0;
}

bool is_aligned(const Job& job) {
    return job.commands.size != 0 && is_aligned(job.commands.data) && is_aligned(job.weights.data) &&
           is_aligned(job.scratch.data) && is_aligned(job.fast_scratch.data);
}

Error reset() {
    if (!is_present()) {
        return Error::kNoNpu;
    }
    npu(kReset) = kPrivileged;
    int polls = 0;
    while (npu(kStatus) & kInReset) {
        if (++polls == kResetPolls) {
            return Error::kReset;
        }
    }
    return npu(kProt) == kPrivileged ? Error::kNone : Error::kReset;
}

// Memory types stay at their reset value, device memory: a write is done when the NPU says that it is.
void configure_ports(Product product) {
    if (product == kU85) {
        constexpr uint32_t kExternal = 1u << 2;
        // bursts of up to 256 bytes, 64 reads and 32 writes at once
        constexpr uint32_t kPort = 2u << 16 | 31u << 8 | 63u;
        npu(kAxiSram) = kPort;
        npu(kAxiExt) = kPort;
        for (uintptr_t index = 0; index < 4; ++index) {
            npu(kAxiLimit + 4 * index) = index < 2 ? 0 : kExternal;
        }
        return;
    }
    // bursts of up to 64 bytes, 32 reads and 16 writes at once
    constexpr uint32_t kPort = 15u << 24 | 31u << 16;
    for (uintptr_t index = 0; index < 4; ++index) {
        npu(kAxiLimit + 4 * index) = kPort;
    }
}

void configure(const Job& job) {
    npu(kCmd) = kMayStopClock;
    configure_ports(static_cast<Product>(field(job.configuration, 28, 4)));
    write_address(kQBase, job.commands.data);
    npu(kQSize) = static_cast<uint32_t>(job.commands.size);
    npu(kQConfig) = job.ports.commands;
    write_address(kBaseP, job.weights.data);
    write_address(kBaseP + 8, job.scratch.data);
    write_address(kBaseP + 16, job.fast_scratch.data);
    npu(kRegionCfg) =
        static_cast<uint32_t>(job.ports.weights | job.ports.scratch << 2 | job.ports.fast_scratch << 4);
}

uintptr_t pmu(const Job& job) {
    return field(job.configuration, 28, 4) == kU85 ? 0x1180 : 0x180;
}

void start_counters(uintptr_t base) {
    npu(base + kPmcr) = kCountFromZero;
    npu(base + kPmCcntrCfg) = kWhileActive;
    for (uintptr_t index = 0; index < 4; ++index) {
        npu(base + kPmEvTyper + 4 * index) = kBeatEvents[index];
    }
    npu(base + kPmCntEnSet) = kCycleCounter | 0xF;
}

void read_counters(uintptr_t base, Counters& counters) {
    npu(base + kPmCntEnClr) = kCycleCounter | 0xF;
    counters.cycles = npu(base + kPmCcntr) | static_cast<uint64_t>(npu(base + kPmCcntr + 4)) << 32;
    for (uintptr_t port = 0; port < 2; ++port) {
        counters.read_beats[port] = npu(base + kPmEvCntr + 8 * port);
        counters.write_beats[port] = npu(base + kPmEvCntr + 8 * port + 4);
    }
    npu(base + kPmcr) = 0;
}

void poll() {
    while (npu(kStatus) & kRunning) {
    }
    handle_interrupt();
    bus::forget_interrupt();
}

Error error_of(uint32_t status) {
    constexpr struct {
        uint32_t bit;
        Error error;
    } kErrors[] = {{kBusError, Error::kBus},
                   {kParseError, Error::kCommand},
                   {kWatchdogFault, Error::kWatchdog},
                   {kEccFault, Error::kEcc},
                   {kBranchFault, Error::kBranch}};
    for (const auto& entry : kErrors) {
        if (status & entry.bit) {
            return entry.error;
        }
    }
    return status & kEndReached ? Error::kNone : Error::kIncomplete;
}

// Everything but the write that starts the NPU.
Error prepare(const Job& job, const Counters* counters) {
    if (is_running) {
        return Error::kBusy;
    }
    Error error = is_aligned(job) ? reset() : Error::kAlignment;
    if (error == Error::kNone) {
        error = check(job.configuration, job.id);
    }
    if (error != Error::kNone) {
        return error;
    }
    configure(job);
    if (counters != nullptr) {
        start_counters(pmu(job));
    }
    bus::lend(job);
    is_running = true;
    finished = false;
    return Error::kNone;
}

void go() {
    npu(kCmd) = kMayStopClock | kRun;
}

void go_and_interrupt() {
    bus::forget_interrupt();
    bus::enable_interrupt();
    go();
}

void sleep() {
    bus::sleep_until(finished);
    bus::disable_interrupt();
}

// What the NPU has written is the core's again.
Result take_back(const Job& job, Counters* counters) {
    bus::take_back(job);
    if (counters != nullptr) {
        read_counters(pmu(job), *counters);
    }
    const uint32_t command = npu(kQRead);
    npu(kCmd) = kMayStopClock | kMayLosePower;
    is_running = false;
    return {error_of(final_status), final_status, command};
}

}  // namespace

void handle_interrupt() {
    if (!is_running) {
        return;
    }
    final_status = npu(kStatus);
    npu(kCmd) = kMayStopClock | kClearIrq;
    // The write has arrived before the core looks at the interrupt's line again.
    bus::barrier();
    finished = true;
    const Done* const done = done_of_started;
    if (done != nullptr) {
        done->function(done->context);
    }
}

bool is_present() {
    return npu(kId) != 0;
}

// CONFIG: MACs 3:0 (log2), version of the command stream 7:4, product 31:28. ID: architecture 31:28 and
// 27:20.
Error check(uint32_t configuration, uint32_t id) {
    const uint32_t own_configuration = npu(kConfig);
    const uint32_t own_id = npu(kId);
    if (field(own_configuration, 28, 4) != field(configuration, 28, 4)) {
        return Error::kProduct;
    }
    if (field(own_configuration, 0, 4) != field(configuration, 0, 4)) {
        return Error::kMacs;
    }
    if (field(own_configuration, 4, 4) != field(configuration, 4, 4)) {
        return Error::kStreamVersion;
    }
    if (field(own_id, 28, 4) != field(id, 28, 4) || field(own_id, 20, 8) < field(id, 20, 8)) {
        return Error::kArchitecture;
    }
    return Error::kNone;
}

Error start(const Job& job, Done done, Counters* counters) {
    const Error error = prepare(job, counters);
    if (error == Error::kNone) {
        started = {job, done, counters};
        done_of_started = done.function != nullptr ? &started.done : nullptr;
        go_and_interrupt();
    }
    return error;
}

Result finish() {
    if (!is_running) {
        return {Error::kIncomplete, 0, 0};
    }
    sleep();
    done_of_started = nullptr;
    return take_back(started.job, started.counters);
}

Result run(const Job& job, Wait wait, Counters* counters) {
    const Error error = prepare(job, counters);
    if (error != Error::kNone) {
        return {error, 0, 0};
    }
    if (wait == Wait::kInterrupt) {
        go_and_interrupt();
        sleep();
    } else {
        bus::disable_interrupt();
        go();
        poll();
    }
    return take_back(job, counters);
}

void stop(const Result& result) {
    bus::stop(in_words(result.error), result);
}

const char* in_words(Error error) {
    switch (error) {
        case Error::kNone:
            return "no error";
        case Error::kAlignment:
            return "the command stream or a region is not aligned to 16 bytes";
        case Error::kNoNpu:
            return "no NPU answers at its address";
        case Error::kReset:
            return "the NPU does not come out of reset";
        case Error::kProduct:
            return "the command stream is for another Ethos-U";
        case Error::kMacs:
            return "the command stream is for another number of MACs";
        case Error::kStreamVersion:
            return "the command stream is in another format";
        case Error::kArchitecture:
            return "the command stream is for a later architecture";
        case Error::kBus:
            return "bus error: the NPU cannot reach that memory";
        case Error::kCommand:
            return "the NPU does not take a command of the stream";
        case Error::kWatchdog:
            return "the NPU's watchdog: a part of it stood still";
        case Error::kEcc:
            return "the NPU's memory has lost bits";
        case Error::kBranch:
            return "a branch of the command stream leads out of it";
        case Error::kIncomplete:
            return "the NPU stopped before the end of the command stream";
        case Error::kBusy:
            return "the NPU has another job, which nobody has finished";
    }
    return "unknown error";
}

}  // namespace mcu::ethos_u
