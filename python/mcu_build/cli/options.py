"""The build options as click has them, and other options that several verbs share."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from mcu_build.errors import McuError
from mcu_build.fronts.budgets import BUDGETS
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import BY_NAME, OPTIONS, check_needs, no_board, without_idle
from mcu_build.fronts.signing import SIGNING, Signing, check_key

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Seconds that a run may take.",
)


def _boards(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Names of boards that complete what was typed."""
    from mcu_build.board import board_files

    return [name for name in board_files(Path.cwd()) if name.startswith(begun)]


def _npus(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """NPUs of the board on the line, or of all, that complete what was typed."""
    from mcu_build.board import board_files, load_board

    named = context.params.get("board")
    files = {id: file for id, file in board_files(Path.cwd()).items() if named in (None, id)}
    names = {"none"}
    for file in files.values():
        with contextlib.suppress(McuError):
            board = load_board(file)
            names |= {*board.npu.names} if board.npu else set()
    return sorted(name for name in names if name.startswith(begun))


_COMPLETED = {"board": _boards, "npu": _npus}


class _Value(click.ParamType[Any]):
    """A number, or bytes as 64K or 2M."""

    name = "number"

    def __init__(self, option: Option) -> None:
        self._option = option
        self.name = option.kind

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        try:
            return self._option.value(value)
        except McuError:
            self.fail(f"{value!r} is {self._option.refusal}", param, context)


# Bytes, for options of one verb alone.
SIZE = _Value(BY_NAME["ram"])


class _Many(click.Option):
    """An option that takes one value or more: `--ops-from a.pte b.pte`, up to MODEL or the next option.

    Values of --ops hold "::", those of --ops-from end in .pte, those of --kernel-sources as C++ does. A MODEL
    that is a .pte too comes before.
    """

    def add_to_parser(self, parser: Any, context: click.Context) -> None:
        super().add_to_parser(parser, context)
        known = parser._long_opt[self.opts[0]]
        process, endings = known.process, BY_NAME[str(self.name)].endings

        def goes_on(word: str) -> bool:
            return word.endswith(endings) if endings else "::" in word

        def many(value: str, state: Any) -> None:
            process(value, state)
            while state.rargs and goes_on(state.rargs[0]):
                process(state.rargs.pop(0), state)

        known.process = many


def build_option(name: str, *parameter: str, **different: Any) -> Callable[[F], F]:
    """One of the build options; a verb may call its parameter otherwise, and have `different` attributes."""
    return _click_option(BY_NAME[name], *parameter, **different)


def budgets(*verbs: str, **different: Any) -> Callable[[F], F]:
    """The budgets of verbs; their options may have `different` attributes."""
    chosen = [budget for budget in BUDGETS if set(verbs) & set(budget.verbs)]
    return lambda function: _all(function, *(_click_option(budget, **different) for budget in chosen))


def _click_option(option: Option, *parameter: str, **different: Any) -> Callable[[F], F]:
    attributes: dict[str, Any] = {
        "type": _type(option),
        "metavar": option.metavar or None,
        "envvar": option.variable,
        "help": option.help,
        "shell_complete": _COMPLETED.get(option.name),
    }
    if option.many:
        attributes |= {"multiple": True}
    else:
        attributes |= {"default": option.default, "show_default": True}
    if option.is_open:
        attributes |= {"cls": _Many}
    names = [word for word in (option.short, option.flag) if word]
    return click.option(*names, *parameter, **(attributes | different))


def several(name: str, parameter: str) -> Callable[[F], F]:
    """One of the build options, given once for each value that is tried."""
    words = f"{BY_NAME[name].help.rstrip('.')}; give several to compare."
    return build_option(name, parameter, multiple=True, envvar=None, default=None, help=words)


def _type(option: Option) -> click.ParamType[Any]:
    if option.kind == "choice":
        return click.Choice(option.choices)
    if option.kind == "path":
        return click.Path(path_type=Path)
    return _Value(option) if option.kind in ("number", "size", "real") else click.STRING


def build_options(verb: str) -> Callable[[F], F]:
    """MODEL, all build options and budgets of a verb, --json and --debug, completed by the project file."""

    def given(function: F) -> F:
        return _all(
            projected(function),
            click.argument("model", type=click.Path(path_type=Path)),
            *(build_option(option.name) for option in OPTIONS if verb in option.verbs),
            budgets(verb),
            json_option,
            debug_option,
        )

    return given


def projected(function: F) -> F:
    """Let the project file decide what neither the command line nor the environment has."""

    @functools.wraps(function)
    def completed(**options: Any) -> Any:
        from mcu_build.fronts import project

        options["model"] = model = project.resolve(options["model"])
        file = project.find(model if model.exists() else Path.cwd())
        return function(**with_project(options, file.settings(model) if file else {}))

    return cast(F, completed)


def with_project(options: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command that runs, defaults replaced by the project's. McuError without any board."""
    context = get_current_context()
    for name, value in settings.items():
        if name in options and context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = value
    if options["board"] is None:
        raise no_board()
    typed = {name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    settled = without_idle(options, typed)
    check_needs(settled)
    return settled


def sign_options(verb: str) -> Callable[[F], F]:
    """An image for MCUboot: the function is given `signing`, the checked order, or None."""
    there = [option for option in SIGNING if verb in option.verbs]
    # What a model needs of its application is said to `program` alone.
    names = [*(option.name for option in there), "needs"]

    def given(function: F) -> F:
        @functools.wraps(function)
        def ordered(**options: Any) -> Any:
            from mcu_build.flash.sign import order

            chosen = {name: options.pop(name) for name in names if name in options}
            check_key(chosen)
            return function(**options, signing=order(chosen.pop("sign"), **chosen))

        return _all(cast(F, ordered), *map(_sign_option, there))

    return given


def _sign_option(option: Signing) -> Callable[[F], F]:
    if option.is_flag:
        return click.option(option.flag, is_flag=True, help=option.help)
    return _click_option(option, show_default=False, envvar=None)


def run_options(function: F) -> F:
    """How an image is run."""
    return _all(
        function,
        click.option(
            "--sim",
            type=click.Choice(["qemu", "fvp"]),
            help="QEMU, or Arm's FVP; QEMU where it knows the board.",
        ),
        timeout_option,
    )


def _all(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function
