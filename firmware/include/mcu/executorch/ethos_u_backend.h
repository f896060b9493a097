// ExecuTorch's delegates for Ethos-U, on our driver. Only generated sources include this.

#pragma once

#include <span>

namespace mcu::et {

// Lets programs that are loaded from now on have delegates of EthosUBackend. They work in temporary memory,
// which the NPU must reach, and in `fast_scratch`, as large as the largest of them was compiled for.
void add_ethos_u(std::span<unsigned char> fast_scratch);

}  // namespace mcu::et
