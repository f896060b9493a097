"""What a plan has left out (plan/simplify), for a person."""

from collections.abc import Mapping
from typing import Any


def sentence(gone: Mapping[str, Any]) -> str:
    """`removed` of a manifest in a line."""
    return (
        f"{gone['channels']:,} of {gone['of']:,} channels of {len(gone['layers'])} layers: they never "
        f"change an output ({gone['nbytes']:,} bytes of weights, {gone['macs']:,} MACs)"
    )
