"""The one list of budgets: limits beyond which a verb, or a build system's target, ends with status 6.

Beside the build options (options.py), and spelt by the same rule: `--max-flash` on the command line,
`max_flash` in Python and the project file, MCU_MAX_FLASH in the environment. Build systems have those that
an image keeps with it, MAX_FLASH of mcu_add_firmware, and those of a test with that, MIN_ACCURACY of
mcu_add_test.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from mcu_build.errors import Exit, McuError
from mcu_build.fronts.option import Group, Option

# The verbs that judge an image which a build system has made.
Judge = Literal["size", "test", "profile"]

# A share above 1 is never reached and always fails; one above 2 is a percentage by mistake.
_NO_PERCENTAGE = 2


@dataclass(frozen=True)
class Budget(Option):
    """A limit of a quantity; one of `unit` is a real number up to `highest`."""

    group: Group = "Budgets"
    unit: str = ""
    highest: float = math.inf

    def _one(self, word: Any) -> Any:
        if self.kind != "real":
            try:
                return super()._one(word)
            except McuError as error:
                raise McuError(error.message, f"For example: {self._example}.", Exit.USAGE) from None
        try:
            number = float(word)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(word, bool) or not -math.inf < number <= self.highest:
            raise McuError(
                f"{self.flag}: {word!r} is {self.refusal}", f"For example: {self._example}.", Exit.USAGE
            )
        return number

    @property
    def judge(self) -> Judge:
        """The verb that judges an image by it."""
        return next(verb for verb in get_args(Judge) if verb in self.verbs)

    @property
    def refusal(self) -> str:
        """What is said of a value that it does not have."""
        if self.kind != "real":
            return super().refusal
        return "not a share from 0 to 1" if self.highest == _NO_PERCENTAGE else f"not a number of {self.unit}"

    @property
    def _example(self) -> str:
        if self.kind != "real":
            return f"{self.flag} {'64K' if self.kind == 'size' else '100000'}"
        return f"{self.flag} {0.95 if self.highest == _NO_PERCENTAGE else 20 if self.unit == 'dB' else 0.5}"


BUDGETS = (
    Budget(
        "Fail (status 6) above this many bytes of flash, such as 64K.",
        name="max_flash",
        kind="size",
        verbs=("build", "size", "tune", "report", "ci"),
    ),
    Budget(
        "Fail (status 6) above this many bytes of RAM.",
        name="max_ram",
        kind="size",
        verbs=("build", "size", "tune", "report", "ci"),
    ),
    Budget(
        "Fail (status 6) above this many instructions of one inference.",
        name="max_instructions",
        kind="number",
        verbs=("profile", "report", "ci"),
    ),
    Budget(
        "Fail (status 6) above this many modelled cycles of one inference.",
        name="max_cycles",
        kind="number",
        verbs=("profile", "report", "ci"),
    ),
    Budget(
        "Fail (status 6) below this share of right answers on the device, such as 0.95.",
        name="min_accuracy",
        kind="real",
        metavar="SHARE",
        verbs=("test", "report", "ci"),
        unit="share",
        highest=_NO_PERCENTAGE,
    ),
    Budget(
        "Fail (status 6) where an output, or a group of its channels, is noisier than this against float.",
        name="min_sqnr",
        kind="real",
        metavar="DB",
        verbs=("build", "test", "accuracy", "tune", "report", "ci"),
        unit="dB",
    ),
    Budget(
        "Fail (status 6) where accuracy is so many points of 100 below the float model's.",
        name="max_drop",
        kind="real",
        metavar="POINTS",
        verbs=("test", "tune", "report", "ci"),
        unit="points",
    ),
)
BY_NAME: Mapping[str, Budget] = MappingProxyType({budget.name: budget for budget in BUDGETS})


def of_judge(*verbs: Judge) -> tuple[Budget, ...]:
    """The budgets that these verbs judge an image by."""
    return tuple(budget for budget in BUDGETS if budget.judge in verbs)


def words(values: Mapping[str, Any], verb: Judge) -> list[str]:
    """Those of `values` by which a verb judges, as words of the command."""
    return [
        word for budget in of_judge(verb) for word in budget.arguments(budget.value(values.get(budget.name)))
    ]


def of_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The budgets of variables, MCU_MAX_FLASH and so on."""
    return dict(_set(variables))


def _set(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for budget in BUDGETS:
        if (word := variables.get(budget.variable or "")) not in (None, ""):
            yield budget.name, budget.value(word)
