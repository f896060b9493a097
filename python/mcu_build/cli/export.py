"""`mcu-build export`: a model as a folder that stands alone."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.terminal import StageTimes

FORMATS = ("folder", "lib", "arduino", "platformio", "cmsis-pack", "zephyr", "stm32cube")


@click.command()
@click.argument("output", metavar="DIR", type=click.Path(path_type=Path))
@build_options("export")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="folder",
    show_default=True,
    help="Whose project the model goes into. folder: sources for any; lib: a library.",
)
@click.option("--name", help="The model's name in C instead of that of its file.")
@click.option("--version", default="1.0.0", show_default=True, help="The version in the export's manifests.")
def command(
    as_json: bool, debug: bool, output: Path, format_: Any, name: str | None, version: str, **options: Any
) -> None:
    """Write MODEL into the folder DIR with all that it needs: sources or a library, header, self-test."""
    del debug
    from mcu_build.api import export

    times = StageTimes()
    exported = export(**options, output=output, format=format_, name=name, version=version, progress=times)
    if as_json:
        print_json({**exported.manifest, "folder": str(exported.folder), "stages": times.stages})
    else:
        print_text(_text(exported.folder, exported.manifest))


def _text(folder: Path, manifest: Any) -> str:
    ram, flash, stack = manifest["ram"], manifest["flash"], manifest["stack"]
    fast = f"fast {ram['fast']:,}, " if ram["fast"] else ""
    return "\n".join(
        [
            f"{manifest['name']} for {manifest['core']}: {folder}, {manifest['format']}",
            f"  flash      {flash['code'] + flash['constants']:>10,} bytes  "
            f"(code {flash['code']:,}, constants {flash['constants']:,})",
            f"  ram        {sum(ram.values()):>10,} bytes  "
            f"(arena {ram['arena']:,}, {fast}state {ram['state']:,})",
            f"  stack      {stack:>10,} bytes  at most" if stack is not None else "  stack         unknown",
            f"  self-test  {manifest['vectors']:>10,} vectors",
        ]
    )
