"""What linear layers have in common, whatever the bits of their weights and activations."""

from typing import Any

from mcu_build.ir.calls.call import Call


class RowsTimesMatrix(Call):
    """Rows times weights [outputs][inputs]; `params` hold the three sizes."""

    params: Any
    weights: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        rows, inputs, outputs = self.params.rows, self.params.inputs, self.params.outputs
        return int(rows * inputs * outputs)

    @property
    def weight_operand(self) -> int | None:
        """The weights."""
        return self.weights
