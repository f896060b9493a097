"""`mcu-build completion`: verbs, options, boards and NPUs completed by the shell."""

import os
from pathlib import Path

import rich_click as click
from click.shell_completion import get_completion_class

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit, McuError

# Where each shell looks by itself, below the home folder, and what it has to be configured with else.
_PLACES = {
    "bash": (".local/share/bash-completion/completions/mcu-build", "Needs the package bash-completion."),
    "zsh": (".zfunc/_mcu-build", "Needs `fpath+=~/.zfunc; autoload -U compinit; compinit` in ~/.zshrc."),
    "fish": (".config/fish/completions/mcu-build.fish", ""),
}


@click.command()
@click.argument("shell", type=click.Choice(list(_PLACES)), default=lambda: _own_shell())
@click.option("--install", is_flag=True, help="Write it to where the shell looks for it.")
@json_option
@debug_option
def command(shell: str, install: bool, as_json: bool, debug: bool) -> Exit:
    """Print the completion script of SHELL, by default your own, or install it for this user."""
    del debug
    from mcu_build.cli import cli
    from mcu_build.files import write_atomically

    completion = get_completion_class(shell)
    assert completion is not None
    try:
        script = completion(cli, {}, "mcu-build", "_MCU_BUILD_COMPLETE").source()
    except RuntimeError as error:  # an older bash
        raise McuError(f"completion: {error}", "Update the shell.") from error
    name, needs = _PLACES[shell]
    file = Path.home() / name
    if install:
        write_atomically(file, script.encode())
    if as_json:
        print_json({"shell": shell, "file": str(file), "installed": install, "script": script})
    elif install:
        print_text(f"wrote {file}: it holds from the next shell on. {needs}".rstrip())
    else:
        print_text(script)
    return Exit.OK


def _own_shell() -> str:
    """The user's shell where it is one of ours, else bash."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in _PLACES else "bash"
