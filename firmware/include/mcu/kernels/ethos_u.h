// A part of the model on an Ethos-U: the command stream that Vela made of it.
//
// Its inputs and outputs lie in `scratch`, at the offsets that the stream knows.

#pragma once

#include <cstdint>

namespace mcu::kernels {

// `configuration` and `id` are the registers of the NPU that the stream is for; the rest are sizes in bytes.
struct EthosUParams {
    uint32_t configuration;
    uint32_t id;
    uint32_t commands;
    uint32_t weights;
    uint32_t scratch;
    uint32_t fast_scratch;
};

// Bytes before a command stream: the header of the payload that Arm's driver needs, where that one runs it.
#ifdef MCU_ETHOSU_PAYLOAD
inline constexpr uint32_t kPayloadHeader = 32;
#else
inline constexpr uint32_t kPayloadHeader = 0;
#endif

// All at multiples of 16; pointers to nothing may be null. Where the NPU reports an error, this prints it in
// words and ends the program.
void ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
             void* fast_scratch);

// The same in two parts. The NPU works behind the first, and its interrupt calls `done` (unless null); the
// second waits, if it has to.
void start_ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                   void* fast_scratch, void (*done)(void* context), void* context);
void finish_ethos_u();

}  // namespace mcu::kernels
