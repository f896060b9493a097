"""What --help shows beside the options themselves: their groups, and an example for each verb."""

from collections.abc import Mapping

import rich_click as click
from rich_click.utils import OptionGroupDict

from mcu_build.fronts.budgets import BUDGETS
from mcu_build.fronts.options import OPTIONS
from mcu_build.fronts.signing import SIGNING

# Options beside the build options, by group, in the order in which groups are read. What is in none of them
# comes last, under "Options".
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "Model and board": (),
    "Run": (
        "--inputs",
        "--outputs",
        "--vectors",
        "--sim",
        "--timeout",
        "--image",
        "--no-run",
        "--on-device",
        "--via",
        "--probe",
        "--port",
    ),
    "Budgets": tuple(budget.flag for budget in BUDGETS),
    "Image": tuple(option.flag for option in SIGNING),
    "Output": ("--html", "--trace", "--model-explorer", "--symbols", "--json", "--debug"),
    "Compiler, kernels, runtime": (),
}

EXAMPLES: Mapping[str, str] = {
    "build": "mcu-build -b corstone-300 model.py --max-flash 256K",
    "run": "mcu-build run -b mps2-an386 model.py --inputs in.npz --outputs out.npz",
    "test": "mcu-build test -b corstone-300 model.py --min-accuracy 0.95",
    "flash": "mcu-build flash -b nrf52840-dk model.py",
    "monitor": "mcu-build monitor -b nrf52840-dk",
    "probes": "mcu-build probes",
    "accuracy": "mcu-build accuracy model.py",
    "tune": "mcu-build tune model.py --max-drop 0.5",
    "verify": "mcu-build verify -b corstone-300 model.py",
    "why": "mcu-build why -b host model.py quantized firmware",
    "fit": "mcu-build fit -b nucleo-f446re model.py --ram 64K",
    "schedule": 'mcu-build schedule -b mps2-an386 --schedule "wake; wake, kws" wake.py kws.py',
    "profile": "mcu-build profile -b mps2-an386 model.py --max-cycles 5000000",
    "report": "mcu-build report -b corstone-300 model.py --html report.html",
    "compare": "mcu-build compare model.py -b corstone-300 -b mps2-an386 --npu none",
    "size": "mcu-build size -b corstone-300 model.py --symbols 40",
    "boards": "mcu-build boards corstone-300",
    "doctor": "mcu-build doctor --install",
    "new": "mcu-build new starter",
    "clean": "mcu-build clean",
    "ci": "mcu-build ci model.py --board corstone-300",
    "generate": "mcu-build generate -b corstone-300 model.py --output src",
    "docs": "mcu-build docs does-not-fit",
    "export": "mcu-build export kws -b nucleo-f446re model.py --format stm32cube",
    "completion": "mcu-build completion bash --install",
    "program": "mcu-build program new.pte --firmware build/net/host-executorch --into new.slot --sequence 2",
    "sign": "mcu-build sign -b nrf52840-dk --sign key.pem --version 1.2.3 demo.elf",
    "npu": "mcu-build npu dump build/net/corstone-300/program.pte",
    "cmake-dir": "cmake -B build -DMcuBuild_DIR=$(mcu-build cmake-dir)",
    "bazel": "mcu-build bazel dir",
}


def _build_options(group: str) -> list[str]:
    return [option.flag for option in OPTIONS if option.group == group]


def dressed(verb: str, command: click.Command) -> click.Command:
    """The command with its options in groups and its example."""
    there = {name for parameter in command.params for name in parameter.opts}
    groups = [
        OptionGroupDict(name=group, options=shown)
        for group, others in _OTHERS.items()
        if (shown := [name for name in (*_build_options(group), *others) if name in there])
    ]
    click.rich_click.OPTION_GROUPS[f"mcu-build {verb}"] = groups
    if verb in EXAMPLES and not command.epilog:
        command.epilog = f"Example: {EXAMPLES[verb]}"
    return command
