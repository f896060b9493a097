"""The one list of options that make an image for MCUboot's slot.

Beside the build options (options.py), and spelt by the same rule. They are an image's, not a model's: options
of the verbs that sign, arguments of mcu_add_firmware in CMake, of McuFirmware in SCons and of mcu_firmware in
Bazel. No project file and no variable has them: a key is given for each image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mcu_build.errors import Exit, McuError
from mcu_build.fronts.option import Group, Option

_SIGNERS = ("build", "flash", "program", "sign")
_UPDATERS = ("build", "program", "sign")


@dataclass(frozen=True)
class Signing(Option):
    """An option of signed images. `is_flag`: it takes no value."""

    group: Group = "Image"
    is_flag: bool = False

    def arguments(self, value: Any) -> list[str]:
        """A value in words of the command line; none for the default."""
        if self.is_flag:
            return [self.flag] if value else []
        return super().arguments(value or None)


SIGNING = (
    Signing(
        "Make an image for MCUboot's slot, signed with this key (PEM).",
        name="sign",
        kind="path",
        metavar="KEY",
        endings=(".pem",),
        verbs=_SIGNERS,
    ),
    Signing("The signed image's version, such as 1.2.3.", name="version", default="0.0.0", verbs=_SIGNERS),
    Signing(
        "MCUboot refuses images with a lower one than it has run; auto makes it of the version.",
        name="security_counter",
        metavar="N",
        verbs=_SIGNERS,
    ),
    Signing(
        "Encrypt the signed update for bootloaders with this key (PEM).",
        name="encrypt",
        kind="path",
        metavar="PUBLIC_KEY",
        endings=(".pem",),
        verbs=_SIGNERS,
    ),
    Signing(
        "Make an update of the slot's size, for MCUboot to try once.",
        name="pad",
        is_flag=True,
        default=False,
        verbs=_UPDATERS,
    ),
    Signing("As --pad, for MCUboot to keep.", name="confirm", is_flag=True, default=False, verbs=_UPDATERS),
)
BY_NAME: Mapping[str, Signing] = MappingProxyType({option.name: option for option in SIGNING})


def words(values: Mapping[str, Any], verb: str) -> list[str]:
    """Those of `values` that a verb has, in words of the command. McuError (status 2): they lack a key."""
    check_key(values)
    chosen = {name: value for name, value in values.items() if value}
    return [
        word
        for option in SIGNING
        if verb in option.verbs
        for word in option.arguments(chosen.get(option.name, option.default))
    ]


def check_key(values: Mapping[str, Any]) -> None:
    """McuError (status 2): options of signed images without the key that signs."""
    idle = [name for name, value in values.items() if value and value != _default(name)]
    if idle and not values.get("sign"):
        flags = ", ".join("--" + name.replace("_", "-") for name in idle)
        raise McuError(f"{flags}: for signed images only", "Add --sign key.pem.", Exit.USAGE)


def _default(name: str) -> Any:
    return BY_NAME[name].default if name in BY_NAME else None
