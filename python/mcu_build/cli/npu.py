"""`mcu-build npu`: what is in a program for the NPU."""

from pathlib import Path

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option
from mcu_build.cli.output import print_json, print_text


@click.group()
def command() -> None:
    """Look at the NPU's part of a program."""


@command.command()
@click.argument("program", type=click.Path(path_type=Path))
@build_option("data", help="A file with weights or commands that lie apart from PROGRAM.")
@json_option
@debug_option
def dump(program: Path, data: tuple[Path, ...], as_json: bool, debug: bool) -> None:
    """Print the command stream of each delegate of PROGRAM (a .pte) in words."""
    del debug
    from mcu_build.errors import McuError
    from mcu_build.ir.program import load
    from mcu_build.npu import config, payload
    from mcu_build.npu.commands import disassemble

    delegates = [d for d in load(program, weights=data).delegates if d.id == "EthosUBackend"]
    if not delegates:
        raise McuError(
            f"{program}: it has no Ethos-U delegate",
            "`mcu-build build -b corstone-300 MODEL` writes one into its build folder, program.pte.",
        )
    documents = []
    for index, delegate in enumerate(delegates):
        content = payload.parse(delegate.payload, delegate.named_data)
        made_for = config.of_register(content.config)
        lines = disassemble(content.stream, made_for.product)
        documents.append({"delegate": index, "npu": made_for.name, "commands": lines})
        if not as_json:
            print_text(f"delegate {index}: {made_for.name}, {len(content.stream)} bytes of commands")
            print_text("\n".join(lines))
    if as_json:
        print_json({"delegates": documents})
