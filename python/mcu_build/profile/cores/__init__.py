"""Tables of the cores, one file a core."""

from collections.abc import Mapping

from mcu_build.profile.core import Core
from mcu_build.profile.cores import (
    cortex_m0,
    cortex_m0plus,
    cortex_m3,
    cortex_m4,
    cortex_m7,
    cortex_m23,
    cortex_m33,
    cortex_m55,
    cortex_m85,
)

CORES: Mapping[str, Core] = {
    module.CORE.name: module.CORE
    for module in (
        cortex_m0,
        cortex_m0plus,
        cortex_m3,
        cortex_m4,
        cortex_m7,
        cortex_m23,
        cortex_m33,
        cortex_m55,
        cortex_m85,
    )
}
