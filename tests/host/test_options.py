"""The one list of build options: what is made of it, and that an option is called the same everywhere."""

import inspect
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

import mcu_build
from mcu_build.api import Firmware
from mcu_build.cli import VERBS, cli
from mcu_build.errors import Exit, McuError
from mcu_build.flash.sign import Order
from mcu_build.fronts import budgets, project, signing
from mcu_build.fronts.bazel import option_attributes
from mcu_build.fronts.cmake import option_lists
from mcu_build.fronts.option import FRONTS
from mcu_build.fronts.options import BY_NAME, OPTIONS, BuildOptions, Keywords, SourceKeywords, without_idle
from mcu_build.fronts.tables import with_table
from mcu_build.resources import data_dir
from tests.support.cli import mcu_build as command


def parameters(verb):
    return {one.name: one for one in cli.get_command(None, verb).params}


@pytest.mark.parametrize("verb", [verb for verb in VERBS if any(verb in one.verbs for one in OPTIONS)])
def test_a_verb_has_its_options_under_their_names(verb):
    there = parameters(verb)
    for option in OPTIONS:
        assert (option.name in there) == (verb in option.verbs)
        if verb in option.verbs:
            assert option.flag in there[option.name].opts
            assert there[option.name].multiple == option.many
            assert there[option.name].help == option.help


def test_other_verbs_mean_the_same_by_them():
    choices = {option.flag: option.choices for option in OPTIONS if option.choices}
    for verb in VERBS:
        for parameter in cli.get_command(None, verb).params:
            for flag in choices.keys() & set(parameter.opts):
                assert tuple(parameter.type.choices) == choices[flag]


def test_python_has_a_keyword_for_each():
    assert set(get_type_hints(Keywords)) == {option.name for option in OPTIONS}
    sources = {option.name for option in OPTIONS if "generate" in option.verbs}
    assert set(get_type_hints(SourceKeywords)) == sources
    assert all(("generate" in one.verbs) == ("export" in one.verbs) for one in OPTIONS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'optimise'"):
        mcu_build.build("net.py", board="host", optimise="size")  # type: ignore[call-arg]


def test_files_for_build_systems_are_made_from_the_list():
    root = data_dir()
    assert (root / "cmake" / "McuBuildOptions.cmake").read_text() == option_lists(), "run scripts/update-docs"
    bazel = (root / "bazel" / "private" / "options.bzl").read_text()
    assert bazel == option_attributes(), "run scripts/update-docs"


def test_every_budget_is_an_argument_of_an_image_or_of_a_test():
    cmake, bazel = option_lists(), option_attributes()
    for budget in budgets.BUDGETS:
        assert re.search(rf"MCU_BUDGETS_{budget.judge.upper()} .*\b{budget.cmake}\b", cmake)
        table = "FIRMWARE_BUDGETS" if budget.judge == "size" else "TEST_BUDGETS"
        assert f'"{budget.name}": attr.' in bazel.partition(f"{table} = {{")[2].partition("\n}\n")[0]
    given = {"max_flash": 65536, "min_sqnr": 20, "max_cycles": None}
    assert budgets.words(given, "size") == ["--max-flash", "65536"]
    assert budgets.words(given, "test") == ["--min-sqnr", "20.0"]
    assert budgets.words(given, "profile") == []
    with pytest.raises(McuError, match="--max-flash: 'lots' is not a size") as caught:
        budgets.of_variables({"MCU_MAX_FLASH": "lots"})
    assert "--max-flash 64K" in caught.value.hint


def test_how_an_image_is_signed_has_one_name_everywhere():
    cmake, bazel = option_lists(), option_attributes().partition("SIGNING = {")[2]
    order = {one.name for one in fields(Order)}
    for option in signing.SIGNING:
        kind = "FLAGS" if option.is_flag else "VALUES"
        assert re.search(rf"MCU_SIGNING_{kind} .*\b{option.cmake}\b", cmake)
        assert f'"{option.name}": attr.' in bazel
        assert {"sign": "key"}.get(option.name, option.name) in order
        assert option.name not in BY_NAME and option.name not in budgets.BY_NAME
    assert order == {"key", "needs", *signing.BY_NAME} - {"sign"}
    given = {"sign": "k.pem", "version": "1.2.3", "pad": True, "confirm": False, "encrypt": None}
    assert signing.words(given, "sign") == ["--sign", "k.pem", "--version", "1.2.3", "--pad"]
    assert signing.words(given, "flash") == ["--sign", "k.pem", "--version", "1.2.3"]
    assert signing.words({}, "sign") == []
    with pytest.raises(McuError, match="--version, --pad: for signed images only"):
        signing.words({"version": "1.2.3", "pad": True}, "sign")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_signs_has_the_options_of_that(verb):
    there = parameters(verb)
    for option in signing.SIGNING:
        # An export has a version of its own.
        assert (option.name in there and there[option.name].help == option.help) == (verb in option.verbs)


def test_the_page_of_options_is_made_from_the_list():
    page = (data_dir() / "docs" / "command.md").read_text()
    assert page == with_table(page), "run scripts/update-docs"
    assert all(option.flag in page for option in OPTIONS)


def test_what_a_build_system_lacks_is_there_otherwise_or_ours():
    lacking = {front: [one.name for one in OPTIONS if not one.in_front(front)] for front in FRONTS}
    assert lacking == {
        "cmake": ["toolchain", "console", "emit", "build_dir"],
        "scons": ["console", "emit", "build_dir"],
        "bazel": ["cmsis_nn", "executorch_prefix", "console", "emit", "build_dir"],
    }


def test_the_project_file_has_a_key_for_each():
    common, own = project._Common.model_fields, project._Model.model_fields
    for option in OPTIONS:
        assert (option.name in common) == (option.project == "anywhere")
        assert (option.name in own) == (option.project in ("anywhere", "model"))


def test_values_are_read_alike_from_words_and_from_python(tmp_path):
    made = BuildOptions.of(
        board="host",
        runtime="executorch",
        op_library="one.py",  # type: ignore[arg-type]
        ops_from=["a.pte", Path("b.pte")],
        method_pool="2K",
        temp_pool=64,
    )
    assert made.op_library == (Path("one.py"),) and made.ops_from == (Path("a.pte"), Path("b.pte"))
    assert (made.method_pool, made.temp_pool, made.npu) == (2048, 64, None)
    words = made.arguments(OPTIONS)
    seen = parameters("build")["method_pool"].type.convert("2K", None, None)
    assert seen == 2048 and words[:2] == ["--board", "host"]
    assert words.count("--ops-from") == 2 and "--io" not in words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"io": "int4"}, "--io: 'int4' is none of float, int8"),
        ({"kernels": "mine"}, "--kernels: 'mine' is none of ours, cmsis-nn, upstream"),
        ({"latency": -1}, "--latency: -1 is not a number from 0 on"),
        ({"latency": True}, "--latency: True is not a number"),
        ({"method_pool": "2X", "runtime": "executorch"}, "--method-pool: '2X' is not a size"),
        ({"npu": 3}, "--npu: 3 is not a text"),
        ({"data": [3]}, "--data: 3 is not a path"),
        ({"ops": ["aten::cat.out"]}, "--ops: it has no effect without --kernels upstream"),
        ({"cmsis_nn": "x"}, "--cmsis-nn: it has no effect without --kernels cmsis-nn"),
        ({"board": ""}, "--board: missing"),
    ],
)
def test_nonsense_is_named(options, said):
    with pytest.raises(McuError, match=f"^{re.escape(said)}") as caught:
        BuildOptions.of(**{"board": "host", **options})
    assert caught.value.exit_code == Exit.USAGE and caught.value.hint


def test_what_a_project_says_for_others_is_left_out():
    project_wide = {"board": "host", "runtime": "static", "executorch_prefix": Path("et"), "io": "int8"}
    assert without_idle(project_wide, ()) == {**project_wide, "executorch_prefix": None}
    assert without_idle(project_wide, ["executorch_prefix"]) == project_wide
    used = {**project_wide, "runtime": "executorch"}
    assert without_idle(used, ()) == used


def test_variables_of_the_environment_stand_for_options(monkeypatch, tmp_path):
    (tmp_path / "net.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCU_IO", "int7")
    text = command("build", "-b", "host", "net.py")
    assert text.status == 2 and "int7" in text.err
    assert "int7" not in command("build", "-b", "host", "--io", "int8", "net.py").err
    # What is a model's own is no variable.
    assert all(BY_NAME[name].variable is None for name in ("data", "method", "op_library", "kernel_sources"))


def test_arguments_in_scons_and_bazel_are_read_from_the_list():
    """Nothing there names an option to pass it on: the files know the list alone."""
    modules = [import_module(f"mcu_build.{name}") for name in ("scons", "scons_images")]
    scons = "".join(map(inspect.getsource, modules))
    bazel = (data_dir() / "bazel" / "private" / "model.bzl").read_text()
    cmake = (data_dir() / "cmake" / "McuBuildGenerate.cmake").read_text()
    for name in ("latency", "method_pool", "ops_from", "op_library"):
        assert name not in scons and name not in bazel and name.upper() not in cmake


def test_vectors_are_a_count_and_inputs_an_archive_everywhere():
    for verb in ("test", "report", "compare", "verify"):
        assert parameters(verb)["vectors"].type.name == "integer range", verb
    steps = {name: cli.get_command(None, "bazel").commands[name].params for name in ("expect", "test")}
    for given in steps.values():
        there = {one.name: one.type.name for one in given}
        assert (there["vectors"], there["inputs"]) == ("integer range", "path")
    for function in (Firmware.test, Firmware.prove, Firmware.report):
        assert "int" in str(inspect.signature(function).parameters["vectors"].annotation)
    rule = (data_dir() / "bazel" / "private" / "test.bzl").read_text()
    assert '"vectors": attr.int(' in rule and '"inputs": attr.label(' in rule
    assert "[VECTORS <count>]" in (data_dir() / "cmake" / "McuBuildConfig.cmake").read_text()
    assert parameters("run")["inputs"].type.name == "path"


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_its_budgets_under_their_names(verb):
    there = parameters(verb)
    for budget in budgets.BUDGETS:
        assert (budget.name in there) == (verb in budget.verbs)
        if verb in budget.verbs:
            assert there[budget.name].opts == [budget.flag] and there[budget.name].help == budget.help
            assert there[budget.name].envvar == budget.variable


def test_budgets_have_one_name_everywhere():
    names = budgets.BY_NAME.keys()
    assert names <= project._Common.model_fields.keys() and names <= project._Model.model_fields.keys()
    assert not names & BY_NAME.keys()
    in_python = [
        name
        for function in (Firmware.check_budgets, Firmware.test)
        for name in inspect.signature(function).parameters
        if name.startswith(("max_", "min_"))
    ]
    assert set(in_python) <= names
    action = (data_dir() / "action.yml").read_text()
    of_ci = [budget for budget in budgets.BUDGETS if "ci" in budget.verbs]
    assert len(of_ci) == len(budgets.BUDGETS)
    for budget in of_ci:
        assert f"{budget.variable}: ${{{{ inputs.{budget.flag[2:]} }}}}" in action
    page = (data_dir() / "docs" / "command.md").read_text()
    assert all(f"| `{budget.flag} " in page for budget in budgets.BUDGETS)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("min_accuracy", "95", "--min-accuracy: '95' is not a share from 0 to 1"),
        ("min_accuracy", "much", "is not a share"),
        ("min_sqnr", "nan", "--min-sqnr: 'nan' is not a number of dB"),
        ("max_flash", "64Q", "is not a size"),
        ("max_cycles", "-1", "is not a number from 0 on"),
    ],
)
def test_budgets_that_are_none(name, given, said):
    with pytest.raises(McuError) as caught:
        budgets.BY_NAME[name].value(given)
    assert said in caught.value.message and caught.value.exit_code is Exit.USAGE
    assert budgets.BY_NAME["max_drop"].value("0.5") == 0.5 and budgets.BY_NAME["max_ram"].value("2K") == 2048
