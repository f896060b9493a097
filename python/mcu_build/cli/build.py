"""`mcu-build build`: firmware for a board."""

from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_build.cli.options import build_options, sign_options
from mcu_build.cli.output import end_json, end_text, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.terminal import StageTimes

if TYPE_CHECKING:
    from mcu_build.flash.sign import Order


@click.command()
@build_options("build")
@sign_options("build")
def command(
    as_json: bool,
    debug: bool,
    max_flash: int | None,
    max_ram: int | None,
    min_sqnr: float | None,
    signing: "Order | None",
    **options: Any,
) -> Exit:
    """Make firmware for a board from MODEL: a model.py, a saved .pt2 or a .pte program."""
    del debug
    from mcu_build.preflight import check_command

    check_command("build", **options)
    from mcu_build.api import build
    from mcu_build.stages.pipeline import summary

    times = StageTimes()
    firmware = build(**options, in_slot=signing is not None, progress=times)
    error = _over(firmware, max_flash, max_ram, min_sqnr)
    signed = firmware.sign(signing) if signing and not error else {}
    if as_json:
        document = summary(firmware.built)
        document["artefacts"] |= {name: str(file) for name, file in signed.items()}
        return end_json({**document, "stages": times.stages}, error)
    print_text(describe(firmware.built))
    for name, file in signed.items():
        print_text(f"  {name:<10} {file}, version {signing.version if signing else ''}")
    return end_text(error)


def _over(
    firmware: Any, max_flash: int | None, max_ram: int | None, min_sqnr: float | None
) -> McuError | None:
    try:
        firmware.check_budgets(max_flash, max_ram, min_sqnr)
    except McuError as error:
        return error
    return None


def describe(built: Any) -> str:
    """A build in a few lines."""
    manifest = built.manifest
    flash, ram, memory = manifest.flash, manifest.ram, manifest.memory
    kinds = [row["where"] for row in manifest.operators]
    counted = ", ".join(
        f"{kinds.count(kind)} {kind}"
        for kind in ("npu", "int8", "int16", "boundary", "float")
        if kind in kinds
    )
    ours = f"{memory['arena']:,}"
    lines = [
        f"{manifest.name} for {manifest.board['id']}: {built.folder / manifest.artefacts['elf']}",
        f"  flash      {flash['total']:>10,} bytes  "
        f"(code {flash['code']:,}, constants {flash['constants']:,})",
        f"  ram        {ram['total']:>10,} bytes  (arena {ram['arena']:,}, static {ram['static']:,}, "
        f"stack {ram['stack']:,})",
        _arena(memory, ours),
        f"  operators  {len(kinds):>10}        ({counted})",
    ]
    if memory.get("stack_needed"):
        lines.append(f"  stack      {memory['stack_needed']:>10,} bytes at most for an inference")
    if memory.get("state"):
        lines.append(
            f"  state      {memory['state']:>10,} bytes  (in the arena's memory, kept from call to call)"
        )
    if manifest.removed:
        from mcu_build.report.removed import sentence

        count, _, rest = sentence(manifest.removed).partition(" ")
        lines.append(f"  removed    {count:>10} {rest}")
    if built.lowered.quality:
        from mcu_build.quality.verdict import lines as quality_lines

        lines += [f"  quality    int8 against float {text}" for text in quality_lines(built.lowered.quality)]
    if manifest.npu:
        from mcu_build.report.npu import table

        lines += [f"  npu        {manifest.npu['name']:>10}", table(manifest.npu)]
    return "\n".join(lines)


def _arena(memory: Any, ours: str) -> str:
    if "method_pool" not in memory:
        return (
            f"  arena      {ours:>10} bytes  (lower bound {memory['lower_bound']:,}, "
            f"ExecuTorch's plan {memory['executorch']:,})"
        )
    return (
        f"  arena      {ours:>10} bytes  (ExecuTorch's own plan; beside it method pool "
        f"{memory['method_pool']:,}, temporary {memory['temp_pool']:,})\n"
        f"  registry   {len(memory['operators']):>10} operators, in flash"
    )
