"""From a PyTorch model to tested firmware on a microcontroller.

import mcu_build
firmware = mcu_build.build("model.py", board="corstone-300")
outputs = firmware.run(inputs)
"""

from typing import TYPE_CHECKING, Any

from mcu_build.errors import Exit, McuError

if TYPE_CHECKING:
    from mcu_build.api import Firmware, build, fit, generate

__version__ = "0.1.0"
__all__ = ["Exit", "Firmware", "McuError", "build", "fit", "generate", "schedule"]


def __getattr__(name: str) -> Any:
    # Loaded when they are used: `mcu-build --help` must answer at once.
    if name in __all__:
        from mcu_build import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
