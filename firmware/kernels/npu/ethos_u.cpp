#include "mcu/kernels/ethos_u.h"

#include "mcu/drivers/ethos_u.h"

namespace mcu::kernels {
namespace {

mcu::ethos_u::Job job_of(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                         void* fast_scratch) {
    mcu::ethos_u::Job job = {};
    job.commands = {commands, params.commands};
    job.configuration = params.configuration;
    job.id = params.id;
    job.weights = {weights, params.weights};
    job.scratch = {scratch, params.scratch};
    job.fast_scratch = {fast_scratch, params.fast_scratch};
    return job;
}

void check(const mcu::ethos_u::Result& result) {
    if (result.error != mcu::ethos_u::Error::kNone) {
        mcu::ethos_u::stop(result);
    }
}

}  // namespace

void ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
             void* fast_scratch) {
    check(mcu::ethos_u::run(job_of(params, commands, weights, scratch, fast_scratch)));
}

void start_ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                   void* fast_scratch, void (*done)(void* context), void* context) {
    const auto job = job_of(params, commands, weights, scratch, fast_scratch);
    check({mcu::ethos_u::start(job, {done, context}), 0, 0});
}

void finish_ethos_u() {
    check(mcu::ethos_u::finish());
}

}  // namespace mcu::kernels
