"""`mcu-build clean`: remove what builds have left."""

import shutil
from pathlib import Path

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import McuError

MANIFEST = "manifest.json"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--build-dir",
    type=click.Path(path_type=Path),
    default=Path("build"),
    show_default=True,
    help="Where the build folders are.",
)
@click.option("--cache", "cached", is_flag=True, help="Remove the cache of stage results as well.")
@json_option
@debug_option
def command(name: str | None, build_dir: Path, cached: bool, as_json: bool, debug: bool) -> None:
    """Remove the build folders of model NAME, or of all models. Other files stay."""
    del debug
    from mcu_build.cache import default_root

    models = [build_dir / name] if name else sorted(build_dir.iterdir()) if build_dir.is_dir() else []
    if name and not models[0].is_dir():
        there = (
            sorted(path.name for path in build_dir.iterdir() if path.is_dir()) if build_dir.is_dir() else []
        )
        hint = (
            f"There are {', '.join(there)}; without a name all are removed." if there else "There are none."
        )
        raise McuError(f"{models[0]}: no such build folder", hint)
    folders = [path for model in models if model.is_dir() for path in _build_folders(model)]
    if cached and default_root().is_dir():
        folders.append(default_root())
    for folder in folders:
        shutil.rmtree(folder)
    for model in models:
        if model.is_dir() and not any(model.iterdir()):
            model.rmdir()
    if as_json:
        print_json({"removed": [str(folder) for folder in folders]})
    else:
        print_text("\n".join(f"removed {folder}" for folder in folders) or "nothing to remove")


def _build_folders(model: Path) -> list[Path]:
    """Folders that a build of ours made: an interrupted one has no manifest yet, but its sources."""
    return [
        path
        for path in sorted(model.iterdir())
        if path.is_dir() and ((path / MANIFEST).is_file() or (path / "plan.json").is_file())
    ]
