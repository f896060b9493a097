#include "mcu/executorch/arguments.h"

#include <cstring>
#include <limits>

#include "mcu/kernels/copy.h"
#include "mcu/kernels/permute.h"

namespace mcu::et {

using ::executorch::aten::Tensor;
using ::executorch::runtime::Error;

bool same_sizes(const Operand& a, const Operand& b) {
    return a.rank == b.rank && std::memcmp(a.size, b.size, sizeof(int32_t) * a.rank) == 0;
}

void Arguments::require(bool holds) {
    if (!holds && ok_) {
        ok_ = false;
        context_.fail(Error::InvalidArgument);
    }
}

const EValue* Arguments::value(size_t index) {
    require(index < values_.size());
    return index < values_.size() ? values_[index] : &none_;
}

bool Arguments::is_none(size_t index) {
    return value(index)->isNone();
}

int64_t Arguments::long_integer(size_t index) {
    const EValue& given = *value(index);
    if (given.isBool()) {
        return given.toBool() ? 1 : 0;
    }
    require(given.isInt());
    return given.isInt() ? given.toInt() : 0;
}

int32_t Arguments::integer(size_t index) {
    const int64_t number = long_integer(index);
    require(number >= std::numeric_limits<int32_t>::min() && number <= std::numeric_limits<int32_t>::max());
    return static_cast<int32_t>(number);
}

double Arguments::real(size_t index) {
    const EValue& given = *value(index);
    if (given.isInt()) {
        return static_cast<double>(given.toInt());
    }
    require(given.isDouble());
    return given.isDouble() ? given.toDouble() : 0.0;
}

std::span<const int64_t> Arguments::integers(size_t index) {
    const EValue& given = *value(index);
    require(given.isIntList());
    if (!given.isIntList()) {
        return {};
    }
    const auto list = given.toIntList();
    return {list.data(), list.size()};
}

Operand Arguments::operand(const Tensor& tensor) {
    Operand found;
    require(tensor.dim() <= kRank);
    if (!ok_) {
        return found;
    }
    found.data = tensor.mutable_data_ptr<std::byte>();
    found.type = tensor.scalar_type();
    found.element_bytes = static_cast<int32_t>(tensor.element_size());
    found.elements = static_cast<int32_t>(tensor.numel());
    found.rank = static_cast<int32_t>(tensor.dim());
    for (int32_t i = 0; i < found.rank; ++i) {
        found.size[i] = tensor.sizes()[i];
        found.stride[i] = tensor.strides()[i];
        found.order[i] = tensor.dim_order()[i];
    }
    require(found.data != nullptr || found.elements == 0);
    return found;
}

Operand Arguments::tensor(size_t index) {
    const EValue& given = *value(index);
    require(given.isTensor());
    return given.isTensor() ? operand(given.toTensor()) : Operand{};
}

Operand Arguments::tensor(size_t index, ScalarType type) {
    const Operand found = tensor(index);
    require(found.type == type);
    return found;
}

Operand Arguments::optional_tensor(size_t index, ScalarType type) {
    return is_none(index) ? Operand{} : tensor(index, type);
}

size_t Arguments::count(size_t index) {
    const EValue& given = *value(index);
    require(given.isTensorList());
    return given.isTensorList() ? given.toTensorList().size() : 0;
}

Operand Arguments::item(size_t index, size_t position) {
    const bool there = position < count(index);
    require(there);
    return there ? operand(value(index)->toTensorList()[position]) : Operand{};
}

void* Arguments::temporary(size_t bytes) {
    // A vector load of Helium is the widest access of our kernels.
    const auto found = context_.allocate_temp(bytes, 16);
    if (!found.ok()) {
        ok_ = false;
        context_.fail(found.error());
        return nullptr;
    }
    return *found;
}

namespace {

// A dimension of an iteration space: how many steps, and how far one is in the memory of either operand.
struct Row {
    int32_t size;
    int32_t stride[2];
};

// The dimensions of `output` in its memory layout, sizes of 1 left out, neighbours made one where every
// operand crosses them as one. Returns how many there are.
int32_t merged(const Operand& output, const int32_t* const strides[], int32_t operands, Row* rows) {
    int32_t count = 0;
    for (int32_t position = 0; position < output.rank; ++position) {
        const int32_t dimension = output.order[position];
        const int32_t size = output.size[dimension];
        if (size == 1) {
            continue;
        }
        bool joins = count > 0;
        for (int32_t i = 0; i < operands; ++i) {
            joins = joins && rows[count - 1].stride[i] == size * strides[i][dimension];
        }
        Row& row = joins ? rows[count - 1] : rows[count++];
        row.size = joins ? row.size * size : size;
        for (int32_t i = 0; i < operands; ++i) {
            row.stride[i] = strides[i][dimension];
        }
    }
    return count;
}

// `operand` as if its memory were dense in this order of its dimensions.
Operand in_order(const Operand& operand, std::span<const uint8_t> order) {
    Operand made = operand;
    int32_t stride = 1;
    for (int32_t position = operand.rank - 1; position >= 0; --position) {
        const uint8_t dimension = order[position];
        made.order[position] = dimension;
        made.stride[dimension] = stride;
        stride *= operand.size[dimension];
    }
    return made;
}

// Whether two tensors of one shape have their elements in the same order: sizes of 1 may stand anywhere.
bool same_order(const Operand& a, const Operand& b) {
    for (int32_t i = 0; i < a.rank; ++i) {
        if (a.size[i] != 1 && a.stride[i] != b.stride[i]) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool Arguments::expanded(const Operand& operand, const Operand& output, int32_t* strides) {
    const int32_t missing = output.rank - operand.rank;
    if (missing < 0) {
        return false;
    }
    for (int32_t i = 0; i < output.rank; ++i) {
        const int32_t size = i < missing ? 1 : operand.size[i - missing];
        if (size != 1 && size != output.size[i]) {
            return false;
        }
        strides[i] = size == 1 ? 0 : operand.stride[i - missing];
    }
    return true;
}

const std::byte* Arguments::ordered(const Operand& operand, std::span<const uint8_t> order) {
    if (!ok_) {
        return nullptr;
    }
    Operand wanted = in_order(operand, order);
    if (operand.elements == 0 || same_order(operand, wanted)) {
        return operand.data;
    }
    wanted.data =
        static_cast<std::byte*>(temporary(static_cast<size_t>(operand.elements) * operand.element_bytes));
    if (wanted.data != nullptr) {
        copy_strided(operand.data, {operand.stride, kRank}, wanted);
    }
    return wanted.data;
}

const std::byte* Arguments::ordered_as(const Operand& operand, const Operand& as) {
    require(same_sizes(operand, as));
    return ordered(operand, {as.order, kRank});
}

std::byte* Arguments::begin_output(const Operand& output) {
    if (!ok_ || same_order(output, in_order(output, kContiguous))) {
        return output.data;
    }
    return static_cast<std::byte*>(temporary(static_cast<size_t>(output.elements) * output.element_bytes));
}

void Arguments::finish_output(const Operand& output, const void* written) {
    if (written != output.data) {
        const Operand source = in_order(output, kContiguous);
        copy_strided(static_cast<const std::byte*>(written), {source.stride, kRank}, output);
    }
}

void Arguments::copy_strided(const std::byte* data, std::span<const int32_t> strides, const Operand& output) {
    if (!ok_ || output.elements == 0) {
        return;
    }
    Row rows[kRank];
    const int32_t* const operands[] = {strides.data()};
    int32_t count = merged(output, operands, 1, rows);
    int32_t run = 1;
    if (count > 0 && rows[count - 1].stride[0] == 1) {
        run = rows[--count].size;
    }
    const int32_t bytes = run * output.element_bytes;
    if (count == 0) {
        kernels::copy({.bytes = bytes}, data, output.data);
        return;
    }
    kernels::PermuteParams params{.element_bytes = bytes, .shape = {1, 1, 1, 1, 1, 1}, .strides = {}};
    for (int32_t i = 0; i < count; ++i) {
        params.shape[kRank - count + i] = rows[i].size;
        params.strides[kRank - count + i] = rows[i].stride[0] * output.element_bytes;
    }
    kernels::permute(params, data, output.data);
}

void Arguments::reshape(const Operand& source, const Operand& output) {
    require(source.elements == output.elements && source.type == output.type);
    const std::byte* const data = ordered(source, kContiguous);
    copy_strided(data, {in_order(output, kContiguous).stride, kRank}, output);
}

int32_t Arguments::axis(int64_t dimension, int32_t rank) {
    const int32_t most = rank > 0 ? rank : 1;
    require(dimension >= -most && dimension < most);
    if (!ok_) {
        return 0;
    }
    return static_cast<int32_t>(dimension < 0 ? dimension + most : dimension);
}

}  // namespace mcu::et
