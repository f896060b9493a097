#include "mcu/kernels/ethos_u.h"

#include <cstddef>
#include <span>

#include "mcu/drivers/ethos_u.h"
#include "mcu/platform.h"
#include "mcu/text.h"

namespace mcu::kernels {
namespace {

[[noreturn]] void stop(const ethos_u::Result& result) {
    platform::write_console("NPU: ");
    platform::write_console(ethos_u::in_words(result.error));
    Text text;
    text.add("\n  STATUS ").hexadecimal(result.status);
    text.add(", byte ").decimal(result.command).add(" of the command stream\n");
    platform::write_console(text.view());
    platform::exit(platform::Status::kNpu);
}

ethos_u::Job job_of(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                    void* fast_scratch) {
    return {
        .commands = {static_cast<const uint32_t*>(commands), params.commands / sizeof(uint32_t)},
        .configuration = params.configuration,
        .id = params.id,
        .weights = {static_cast<const std::byte*>(weights), params.weights},
        .scratch = {static_cast<std::byte*>(scratch), params.scratch},
        .fast_scratch = {static_cast<std::byte*>(fast_scratch), params.fast_scratch},
    };
}

}  // namespace

void ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
             void* fast_scratch) {
    start_ethos_u(params, commands, weights, scratch, fast_scratch, nullptr, nullptr);
    finish_ethos_u();
}

void start_ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                   void* fast_scratch, void (*done)(void* context), void* context) {
    const ethos_u::Job job = job_of(params, commands, weights, scratch, fast_scratch);
    const ethos_u::Error error = ethos_u::start(job, {done, context});
    if (error != ethos_u::Error::kNone) {
        stop({error, 0, 0});
    }
}

void finish_ethos_u() {
    const ethos_u::Result result = ethos_u::finish();
    if (result.error != ethos_u::Error::kNone) {
        stop(result);
    }
}

}  // namespace mcu::kernels
