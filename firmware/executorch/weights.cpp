#include "mcu/executorch/weights.h"

#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>

#include <cstring>

#if defined(__clang__) && defined(__arm__)
// GCC's int32_t is a long on these cores and clang's an int: in a library that GCC has made, this goes by a
// name that clang does not ask for. Weak: what clang has made has it. Nothing is checked here, the table's
// writer has done so.
namespace executorch::runtime {

__attribute__((weak)) Result<const TensorLayout> TensorLayout::create(Span<const int32_t> sizes,
                                                                      Span<const uint8_t> order,
                                                                      aten::ScalarType type) {
    size_t bytes = elementSize(type);
    for (const int32_t size : sizes) {
        bytes *= static_cast<size_t>(size);
    }
    return TensorLayout(sizes, order, type, bytes);
}

}  // namespace executorch::runtime
#endif

namespace mcu::et {

using ::executorch::runtime::Error;
using ::executorch::runtime::FreeableBuffer;
using ::executorch::runtime::Result;
using ::executorch::runtime::TensorLayout;

const Weight* WeightMap::find(std::string_view key) const {
    for (const Weight& weight : weights_) {
        if (key == weight.key) {
            return &weight;
        }
    }
    return nullptr;
}

Result<const TensorLayout> WeightMap::get_tensor_layout(std::string_view key) const {
    const Weight* const found = find(key);
    if (found == nullptr) {
        return Error::NotFound;
    }
    return TensorLayout::create({found->sizes.data(), found->sizes.size()},
                                {found->order.data(), found->order.size()}, found->type);
}

Result<FreeableBuffer> WeightMap::get_data(std::string_view key) const {
    const Weight* const found = find(key);
    if (found == nullptr) {
        return Error::NotFound;
    }
    return FreeableBuffer(found->data.data(), found->data.size(), nullptr);
}

Error WeightMap::load_data_into(std::string_view key, void* buffer, size_t size) const {
    const Weight* const found = find(key);
    if (found == nullptr) {
        return Error::NotFound;
    }
    if (size > found->data.size()) {
        return Error::InvalidArgument;
    }
    std::memcpy(buffer, found->data.data(), size);
    return Error::Ok;
}

Result<uint32_t> WeightMap::get_num_keys() const {
    return static_cast<uint32_t>(weights_.size());
}

Result<const char*> WeightMap::get_key(uint32_t index) const {
    if (index >= weights_.size()) {
        return Error::InvalidArgument;
    }
    return weights_[index].key;
}

}  // namespace mcu::et
