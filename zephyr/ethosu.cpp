// The NPU's kernel through Zephyr's driver, Arm's ethosu: one job at a time, other threads run while the NPU
// works.

#include <ethosu_driver.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "mcu/kernels/ethos_u.h"

namespace mcu::kernels {

void ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
             void* fast_scratch) {
    uint64_t regions[] = {reinterpret_cast<uintptr_t>(weights), reinterpret_cast<uintptr_t>(scratch),
                          reinterpret_cast<uintptr_t>(fast_scratch)};
    const size_t sizes[] = {params.weights, params.scratch, params.fast_scratch};
    const auto* payload = static_cast<const unsigned char*>(commands) - kPayloadHeader;
    ethosu_driver* driver = ethosu_reserve_driver();
    const int failed = ethosu_invoke_v3(driver, payload, static_cast<int>(kPayloadHeader + params.commands),
                                        regions, sizes, 3, nullptr);
    ethosu_release_driver(driver);
    if (failed != 0) {
        printk("NPU: Arm's driver refuses the job, or the NPU reports an error\n");
        k_panic();
    }
}

// Arm's driver has no callback from its interrupt: it waits here.
void start_ethos_u(const EthosUParams& params, const void* commands, const void* weights, void* scratch,
                   void* fast_scratch, void (*done)(void* context), void* context) {
    ethos_u(params, commands, weights, scratch, fast_scratch);
    if (done != nullptr) {
        done(context);
    }
}

void finish_ethos_u() {}

}  // namespace mcu::kernels
