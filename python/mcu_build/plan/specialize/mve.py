"""Steps for firmware/kernels/mve."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Specializer

TABLE: "Mapping[str, tuple[Specializer, ...]]" = {}
