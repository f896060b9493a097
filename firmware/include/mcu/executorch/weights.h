// Weights that lie apart from a program, as ExecuTorch finds them: by name.
//
// Only generated sources include this.

#pragma once

#include <executorch/runtime/core/named_data_map.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mcu::et {

// A tensor: its elements and their layout.
struct Weight {
    const char* key;
    std::span<const unsigned char> data;
    ::executorch::aten::ScalarType type;
    std::span<const int32_t> sizes;
    std::span<const uint8_t> order;  // of the dimensions in memory, the outermost first
};

// A table of weights in flash. Nothing is copied but the state that a program changes.
class WeightMap final : public ::executorch::runtime::NamedDataMap {
public:
    explicit WeightMap(std::span<const Weight> weights) : weights_(weights) {}

    ::executorch::runtime::Result<const ::executorch::runtime::TensorLayout> get_tensor_layout(
        std::string_view key) const override;
    ::executorch::runtime::Result<::executorch::runtime::FreeableBuffer> get_data(
        std::string_view key) const override;
    ::executorch::runtime::Error load_data_into(std::string_view key, void* buffer,
                                                size_t size) const override;
    ::executorch::runtime::Result<uint32_t> get_num_keys() const override;
    ::executorch::runtime::Result<const char*> get_key(uint32_t index) const override;

private:
    const Weight* find(std::string_view key) const;

    std::span<const Weight> weights_;
};

}  // namespace mcu::et
