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

}  // namespace

void ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
             void* fast_scratch) {
    const ethos_u::Job job = {
        .commands = {static_cast<const uint32_t*>(commands), params.commands / sizeof(uint32_t)},
        .configuration = params.configuration,
        .id = params.id,
        .weights = {static_cast<const std::byte*>(weights), params.weights},
        .scratch = {static_cast<std::byte*>(scratch), params.scratch},
        .fast_scratch = {static_cast<std::byte*>(fast_scratch), params.fast_scratch},
    };
    const ethos_u::Result result = ethos_u::run(job);
    if (result.error != ethos_u::Error::kNone) {
        stop(result);
    }
}

}  // namespace mcu::kernels
