"""The build options for CMake: cmake/McuBuildOptions.cmake, which scripts/update-docs writes."""

from collections.abc import Iterable
from typing import get_args

from mcu_build.fronts.budgets import Judge, of_judge
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import OPTIONS
from mcu_build.fronts.signing import SIGNING

_BANNER = """\
# Build options as arguments of mcu_add_model, by what they take, and as variables for all models; budgets by
# the verb that judges: those of `size` are arguments of mcu_add_firmware, the others of mcu_add_test; how an
# image is signed, arguments of mcu_add_firmware with a value and without.
# Made from python/mcu_build/fronts/ by scripts/update-docs.
"""


def option_lists() -> str:
    """The text of the file: properties, each a list of options or of the values of one."""
    known = [option for option in OPTIONS if option.in_front("cmake")]
    lists = {
        "SINGLE": _names(option for option in known if not option.many),
        "SEVERAL": _names(option for option in known if option.many),
        "PATHS": _names(option for option in known if option.kind == "path"),
        "VARIABLES": _names(option for option in known if option.variable),
        **{f"VALUES_{option.cmake}": option.choices for option in known if option.choices},
    }
    lines = [f"set_property(GLOBAL PROPERTY MCU_OPTIONS_{name} {' '.join(lists[name])})\n" for name in lists]
    for verb in get_args(Judge):
        names = " ".join(_names(of_judge(verb)))
        lines.append(f"set_property(GLOBAL PROPERTY MCU_BUDGETS_{verb.upper()} {names})\n")
    for name, flags in (("VALUES", False), ("FLAGS", True)):
        names = " ".join(_names(order for order in SIGNING if order.is_flag == flags))
        lines.append(f"set_property(GLOBAL PROPERTY MCU_SIGNING_{name} {names})\n")
    return _BANNER + "".join(lines)


def _names(options: Iterable[Option]) -> list[str]:
    return [option.cmake for option in options]
