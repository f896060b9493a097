"""What of a program goes to an Ethos-U, and why the rest does not."""

from typing import Any

from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner
from executorch.exir.backend.partitioner import PartitionResult
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.fx.passes.operator_support import OperatorSupportBase

from mcu_build.lower.assigned import is_for_cpu
from mcu_build.lower.npu.vela_defects import Guard, cut_partitions


class Partitioner(EthosUPartitioner):  # type: ignore[misc]
    """EthosUPartitioner that leaves marked operators alone and remembers why it rejects the others.

    What Vela would compile wrong is rejected too, or divided.
    """

    def __init__(self, spec: EthosUCompileSpec) -> None:
        self._guard = Guard(spec.tosa_spec)
        super().__init__(spec, [_NotForCpu(), self._guard])
        self.reasons: dict[Node, str] = {}

    def partition(self, exported_program: ExportedProgram) -> PartitionResult:
        """Partition, in an order of delegates that does not depend on how strings are hashed."""
        result = super().partition(exported_program)
        return PartitionResult(result.tagged_exported_program, dict(sorted(result.partition_tags.items())))

    def _tag_module(
        self, module: GraphModule, containing_program: ExportedProgram, reporter: Any, *rest: Any
    ) -> set[str]:
        tags: set[str] = super()._tag_module(module, containing_program, reporter, *rest)
        self.reasons |= {**dict(reporter._rejected_nodes), **self._guard.reasons}
        return cut_partitions(module.graph, tags)


class _NotForCpu(OperatorSupportBase):  # type: ignore[misc]
    def is_node_supported(self, submodules: Any, node: Node) -> bool:
        return not is_for_cpu(node)
