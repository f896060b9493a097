"""What calls that resample images have in common, whatever their bits."""

from typing import Any

from mcu_build.ir.calls.call import Call


class Windows(Call):
    """Each output element from a window of its channel; `params` hold the sizes."""

    params: Any

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        output = self.params.output
        return int(self.params.batch * output.pixels * output.channels * self.params.taps.product)
