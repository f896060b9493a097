"""What calls share that make an image of another, channel by channel."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from mcu_build.ir.calls.call import Call
from mcu_build.ir.channels import Coupling, Cut, by_channel, channels_of
from mcu_build.ir.tensor import Tensor


class ByChannel(Call):
    """One image of another; `params` hold the size of both, as `input` and `output`."""

    params: Any
    input: int
    output: int

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channel by channel."""
        channels = channels_of(tensors[self.output])
        if self.params.output.channels != channels or channels_of(tensors[self.input]) != channels:
            return None
        return [by_channel(self.input, self.output, channels)]

    def without_channels(self, cut: Cut) -> Self:
        """Both images with fewer channels."""
        read = cut.share(self.input, self.params.input.channels)
        made = cut.share(self.output, self.params.output.channels)
        params = replace(
            self.params,
            input=replace(self.params.input, channels=read),
            output=replace(self.params.output, channels=made),
        )
        return replace(self, params=params)
