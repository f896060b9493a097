// Registers of Ethos-U55, U65 and U85.
//
// Names and places: Arm 102420, 102023 and 102685, "Register descriptions".

#pragma once

#include <cstdint>

namespace mcu::ethos_u {

enum Register : uintptr_t {
    kId = 0x00,
    kStatus = 0x04,
    kCmd = 0x08,
    kReset = 0x0C,
    kQBase = 0x10,
    kQRead = 0x18,
    kQConfig = 0x1C,
    kQSize = 0x20,
    kProt = 0x24,
    kConfig = 0x28,
    kRegionCfg = 0x3C,
    kAxiLimit = 0x40,  // U55, U65: four of them; U85: MEM_ATTR
    kAxiSram = 0x50,   // U85
    kAxiExt = 0x54,    // U85
    kBaseP = 0x80,     // eight pairs, low word first
};

// Offsets from the first register of the performance counters: 0x180, on U85 0x1180.
enum PmuRegister : uintptr_t {
    kPmcr = 0x000,
    kPmCntEnSet = 0x004,
    kPmCntEnClr = 0x008,
    kPmCcntr = 0x020,
    kPmCcntrCfg = 0x028,
    kPmEvCntr = 0x180,
    kPmEvTyper = 0x200,
};

// STATUS
inline constexpr uint32_t kRunning = 1u << 0;
inline constexpr uint32_t kIrqRaised = 1u << 1;
inline constexpr uint32_t kBusError = 1u << 2;
inline constexpr uint32_t kInReset = 1u << 3;
inline constexpr uint32_t kParseError = 1u << 4;
inline constexpr uint32_t kEndReached = 1u << 5;
inline constexpr uint32_t kWatchdogFault = 1u << 7;
inline constexpr uint32_t kEccFault = 1u << 8;
inline constexpr uint32_t kBranchFault = 1u << 9;  // U85; reserved on U55 and U65

// CMD
inline constexpr uint32_t kRun = 1u << 0;
inline constexpr uint32_t kClearIrq = 1u << 1;
inline constexpr uint32_t kMayStopClock = 1u << 2;
inline constexpr uint32_t kMayLosePower = 1u << 3;

// RESET and PROT: accesses after the reset are privileged, and secure as bit 1 is clear.
inline constexpr uint32_t kPrivileged = 1u << 0;

// PMCR: counters on, events and cycles from zero.
inline constexpr uint32_t kCountFromZero = 0b111;
inline constexpr uint32_t kCycleCounter = 1u << 31;

// PMCCNTR_CFG: cycles from the start of a stream (event NPU_ACTIVE) to its end (NPU_IDLE).
inline constexpr uint32_t kWhileActive = 0x20u << 16 | 0x23u;

// Events: data beats read and written at AXI0 and AXI1, on U85 at all SRAM and all external ports.
inline constexpr uint32_t kBeatEvents[] = {0x082, 0x087, 0x182, 0x187};

}  // namespace mcu::ethos_u
