"""The command line: one file a verb.

A verb's module is imported when the verb is called, and heavy packages inside the verb, so that
`mcu-build --help` answers at once.
"""

import atexit
import difflib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from mcu_build import __version__
from mcu_build.cli.output import report_error
from mcu_build.errors import Exit, McuError
from mcu_build.failures import unexpected

# Seconds after which a Ctrl-C that was lost is repeated.
_SOON = 0.05
# Verbs and what --help says of them. Each is the function `command` of mcu_build.cli.<verb>.
VERBS = {
    "build": "Make firmware for a board from a model. The verb may be left out.",
    "run": "Run a model's firmware on given inputs.",
    "test": "Prove the firmware: its outputs against the quantized program's, exactly.",
    "flash": "Write a model's firmware to a board, verify it, run it.",
    "monitor": "Show what the firmware on a board prints.",
    "probes": "List debug probes, UF2 drives and serial ports that are connected.",
    "accuracy": "How much int8 costs, by output and by layer.",
    "why": "Where float model, int8 model and firmware part: the first layer that differs, as a model.",
    "tune": "Search which layers get int16 or float for an accuracy, or int4 for flash.",
    "verify": "Compare what an NPU is given with the quantized model, in Arm's reference model.",
    "profile": "What an inference costs: instructions by layer and by kernel, counted exactly.",
    "report": "One page about a build: layers, time, memory, accuracy, what was left out.",
    "compare": "Several boards, NPUs, models or priorities in one table: size, time, accuracy.",
    "fit": "How little RAM a model can run in, and the cycles that this costs.",
    "schedule": "One arena for several models, by which of them run together.",
    "size": "Where flash and RAM go, by region and by symbol.",
    "boards": "List the boards, or show one.",
    "doctor": "Check that every tool is here, and say how to get those that are not.",
    "docs": "The documentation, without a network: list its pages, or show one.",
    "completion": "Let the shell complete verbs, options, boards and NPUs.",
    "new": "Write a starter project: a model file, an application, a CMakeLists.txt.",
    "program": "Make a file with a new model, for firmware that keeps its model apart from the image.",
    "sign": "Sign an image that a build system has linked for MCUboot's slot.",
    "npu": "Print an NPU's commands in words.",
    "clean": "Remove build folders, or the cache.",
    "ci": "Check models on boards as a CI job does, and report what has changed.",
    "generate": "Write a model's C++ sources, for other build systems.",
    "export": "Write a model as a folder that stands alone: for make, Arduino, PlatformIO, Zephyr ...",
    "cmake-dir": "Print the folder for -DMcuBuild_DIR.",
    "bazel": "What Bazel's rules call.",
}


class _Verbs(click.Group):
    """The group of verbs, loaded on demand; `mcu-build --board B model.py` means `mcu-build build ...`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"mcu_build.cli.{name.replace('-', '_')}")
        from mcu_build.cli.help import dressed

        return dressed(name, module.command)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        # Listing must not import every verb, as click's own does to ask for the help texts.
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        if not words:
            words = ["--help"]
        elif words[0] == "help":
            if words[1:]:
                _check_verb(words[1], context)
            words = [*words[1:2], "--help"]
        elif words[0] == "version":
            words = ["--version"]
        elif words[0] not in (*VERBS, "--help", "-h", "--version", "-V"):
            _check_verb(words[0], context)
            words = ["build", *words]
        return super().parse_args(context, words)


def _check_verb(word: str, context: click.Context) -> None:
    """Refuse a word that looks like a verb and is none: not an option, nor a file."""
    if word in VERBS or word.startswith("-") or Path(word).suffix or Path(word).exists():
        return
    models = _models()
    if word in models:
        return
    near = difflib.get_close_matches(word, [*VERBS, "help", "version", *models], n=1)
    advice = f"Did you mean {near[0]}?" if near else "It is no file either."
    raise click.UsageError(f"there is no verb {word!r}. {advice}", context)


def _models() -> Sequence[str]:
    """The names of models in the project file."""
    from mcu_build.fronts import project

    file = project.find(Path.cwd())
    return list(file.models) if file else ()


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="mcu-build")
def cli() -> None:
    """From a PyTorch model to tested firmware on a microcontroller.

    mcu-build --board corstone-300 model.py
    """


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command; leave with its exit status."""
    arguments = list(sys.argv[1:] if words is None else words)
    as_json, debug = "--json" in arguments, "--debug" in arguments
    try:
        status = cli.main(arguments, prog_name="mcu-build", standalone_mode=False)
    except McuError as error:
        if debug:
            raise
        status = report_error(error, as_json)
    except click.ClickException as error:
        status = report_error(McuError(error.format_message(), _usage_hint(error), Exit.USAGE), as_json)
    except (KeyboardInterrupt, click.Abort) as stop:
        stopped = McuError("interrupted", "The next build takes up what is whole.", Exit.INTERRUPTED)
        # click makes the same of Ctrl-C and of a file that ends too early.
        early = stop.__cause__ if isinstance(stop.__cause__, EOFError) else None
        status = report_error(unexpected(early) if early else stopped, as_json)
    except Exception as error:
        if debug:
            raise
        status = report_error(unexpected(error), as_json)
    sys.exit(int(status or 0))


def program() -> NoReturn:
    """The command as a process of its own.

    It ends without giving memory back, which takes half a second once torch is imported. SIGTERM ends what it
    has started, too: simulators and compilers are in sessions of their own.
    """
    sys.unraisablehook = _interrupt_again
    signal.signal(signal.SIGTERM, _terminate)
    if sys.stdout is None:
        # The descriptor is closed: nobody needs to read what is printed.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    # What Python does at its end, as far as others notice it.
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status or _flushed())


def _terminate(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that Python dropped, as it does in destructors and callbacks of weak references."""
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)
        return
    again = threading.Timer(_SOON, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def _flushed() -> Exit:
    """Write what is left for stdout; whether that went."""
    try:
        with suppress(ValueError):
            sys.stdout.flush()
    except BrokenPipeError:
        return Exit.CLOSED
    except OSError:
        return Exit.INPUT
    return Exit.OK


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return "`mcu-build --help`"
    listed = f"`{context.command_path} --help` lists the {'options' if context.parent else 'verbs'}."
    if isinstance(error, click.MissingParameter) and context.info_name:
        from mcu_build.cli.help import EXAMPLES

        return f"For example: {EXAMPLES.get(context.info_name, context.command_path)}. {listed}"
    if isinstance(error, click.NoSuchOption) and not error.possibilities:
        long = [flag for flag in _flags(context) if flag.startswith(f"-{error.option_name}")]
        if not error.option_name.startswith("--") and long:
            return f"Options of more than one letter have two dashes: {', '.join(long)}. {listed}"
        others = [verb for verb in VERBS if _has_option(verb, error.option_name)]
        if others:
            return f"It is an option of {', '.join(others)}. {listed}"
    return listed


def _flags(context: click.Context) -> list[str]:
    return [flag for parameter in context.command.params for flag in parameter.opts]


def _has_option(verb: str, flag: str) -> bool:
    command = cli.get_command(click.Context(cli), verb)
    return command is not None and any(flag in param.opts for param in command.params)
