// McuBackend: a delegate is a plan as data, checked when the program is loaded and run where it lies.
//
// Its first argument is all of the program's planned memory, on which the plan works, its second the state of
// a program that has one; the others, inputs and then outputs, are tensors in these.

#include <executorch/runtime/backend/interface.h>

#include <new>

#include "mcu/executorch/mcu_backend.h"
#include "mcu/executorch/model.h"
#include "mcu/platform.h"
#include "mcu/runtime/plan.h"

namespace mcu::et {
namespace {

namespace runtime = ::executorch::runtime;
using runtime::Error;
using runtime::EValue;
using Plan = ::mcu::runtime::Plan;
using PlanStatus = ::mcu::runtime::Status;

constexpr char kName[] = "McuBackend";

Kernels* known = nullptr;

void say(const char* words) {
    platform::write_console("McuBackend: ");
    platform::write_console(words);
    platform::write_console("\n");
}

Error failed(PlanStatus status) {
    say(words(status));
    return status == PlanStatus::kOtherKernels ? Error::DelegateInvalidCompatibility : Error::InvalidProgram;
}

// Loads a plan with the kernels that it was made for.
PlanStatus load(Plan& plan, std::span<const unsigned char> table) {
    PlanStatus status = PlanStatus::kOtherKernels;
    for (const Kernels* one = known; one != nullptr && status == PlanStatus::kOtherKernels; one = one->next) {
        plan = Plan(one->set, {});
        status = plan.load_apart(table);
    }
    return status;
}

std::span<unsigned char> bytes_of(const EValue& value) {
    if (!value.isTensor()) {
        return {};
    }
    const auto& tensor = value.toTensor();
    return {tensor.mutable_data_ptr<unsigned char>(), tensor.nbytes()};
}

bool same(std::span<unsigned char> first, std::span<unsigned char> second) {
    return first.data() == second.data() && first.size() == second.size();
}

// Whether tensors of the program lie where the plan has its inputs and outputs.
bool has_ports(const Plan& plan, runtime::Span<EValue*> ports) {
    const size_t inputs = plan.input_count();
    if (ports.size() != inputs + plan.output_count()) {
        return false;
    }
    for (size_t index = 0; index < ports.size(); ++index) {
        const auto port = index < inputs ? plan.input(index) : plan.output(index - inputs);
        if (!same(port, bytes_of(*ports[index]))) {
            return false;
        }
    }
    return true;
}

class McuBackend final : public runtime::BackendInterface {
public:
    bool is_available() const override { return true; }

    runtime::Result<runtime::DelegateHandle*> init(runtime::BackendInitContext& context,
                                                   runtime::FreeableBuffer* processed,
                                                   runtime::ArrayRef<runtime::CompileSpec>) const override {
        void* const memory = context.get_runtime_allocator()->allocate(sizeof(Plan), alignof(Plan));
        if (memory == nullptr) {
            return Error::MemoryAllocationFailed;
        }
        auto* const plan = new (memory) Plan({}, {});
        const auto* const data = static_cast<const unsigned char*>(processed->data());
        const PlanStatus status = load(*plan, {data, processed->size()});
        if (status != PlanStatus::kOk) {
            return failed(status);
        }
        return plan;
    }

    Error execute(runtime::BackendExecutionContext&, runtime::DelegateHandle* handle,
                  runtime::Span<EValue*> arguments) const override {
        auto& plan = *static_cast<Plan*>(handle);
        const bool has_state = plan.state_bytes() > 0;
        const size_t memories = has_state ? 2 : 1;
        if (arguments.size() < memories) {
            return Error::InvalidProgram;
        }
        const auto state = has_state ? bytes_of(*arguments[1]) : std::span<unsigned char>();
        const PlanStatus status = plan.move(bytes_of(*arguments[0]), state);
        if (status != PlanStatus::kOk) {
            return failed(status);
        }
        if (!has_ports(plan, {arguments.data() + memories, arguments.size() - memories})) {
            return failed(PlanStatus::kOtherPorts);
        }
        plan.run();
        return Error::Ok;
    }
};

Later<McuBackend> backend;

}  // namespace

void add_mcu(Kernels& kernels) {
    const Kernels* one = known;
    while (one != nullptr && one != &kernels) {
        one = one->next;
    }
    if (one == nullptr) {
        kernels.next = known;
        known = &kernels;
    }
    if (runtime::get_backend_class(kName) == nullptr) {
        // It fails only where sixteen others are there: programs then do not find it.
        (void)runtime::register_backend({kName, &backend.make()});
    }
}

}  // namespace mcu::et
