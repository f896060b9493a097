"""The pytest plugin, as a project's own tests use it."""

import xml.etree.ElementTree as ElementTree

import pytest

import mcu_build
import mcu_build.pytest_firmware  # in this process once: a session inside a session unloads what it loads
from mcu_build.verify import prove

pytest_plugins = ["pytester"]

MODEL = """
import torch
torch.manual_seed({seed})
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
"""
# Tells of every time that images are made, in whichever process.
CONFTEST = """
from pathlib import Path
from mcu_build.stages import images
real = images.build

def counted(*arguments):
    with Path(__file__).with_name("built.txt").open("a") as stream:
        stream.write("once\\n")
    return real(*arguments)

if not hasattr(real, "is_counted"):
    counted.is_counted = True
    images.build = counted
"""
TESTS = """
import numpy as np
import pytest

@pytest.fixture(scope="module")
def fw(mcu):
    return mcu.build("net.pte")

def test_outputs(fw):
    x = np.ones((1, 6), np.float32)
    assert not np.array_equal(fw.run(x), fw.run(-x))

def test_sizes(fw):
    assert 0 < fw.flash
    assert 0 < fw.ram

def test_stack(mcu, fw):
    assert mcu.build("net.pte") is fw
    assert fw.stack == 0
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Two programs: they need no torch, which a session inside a session could not load twice."""
    folder = tmp_path_factory.mktemp("programs")
    made = []
    for seed in range(2):
        file = folder / f"seed_{seed}.py"
        file.write_text(MODEL.format(seed=seed))
        made.append(mcu_build.build(file, board="host", build_dir=folder).path("program").read_bytes())
    return made


@pytest.fixture
def project(pytester, programs, monkeypatch):
    """A user's project: a model and its tests."""
    monkeypatch.setattr("mcu_build.stages.images.build", mcu_build.stages.images.build)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_net=TESTS)
    (pytester.path / "net.pte").write_bytes(programs[0])
    return pytester


def run(pytester, *words):
    return pytester.runpytest_inprocess("-p", "mcu_build.pytest_plugin", *words)


def builds(project):
    return (project.path / "built.txt").read_text().count("once")


def test_a_model_is_built_once(project, programs):
    run(project, "--mcu-board", "host").assert_outcomes(passed=3)
    assert builds(project) == 1
    run(project, "--mcu-board", "host").assert_outcomes(passed=3)
    assert builds(project) == 1
    # The control: another model is another build.
    (project.path / "net.pte").write_bytes(programs[1])
    run(project, "--mcu-board", "host").assert_outcomes(passed=3)
    assert builds(project) == 2


WRONG = """
import numpy as np

def test_output(mcu):
    assert mcu.build("net.pte").run(np.ones((1, 6), np.float32)).sum() == 12345

def test_size(mcu):
    assert mcu.build("net.pte").flash < 10

def test_without():
    raise ValueError("no firmware here")
"""
PRINTING = """
from dataclasses import replace
from mcu_build.verify import prove

prove_simulate = prove.simulate
prove.simulate = lambda *words: replace(prove_simulate(*words), console="hello from the core\\n")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_shows_the_console(project, monkeypatch, workers):
    monkeypatch.setattr(prove, "simulate", prove.simulate)
    project.makeconftest(CONFTEST + PRINTING)
    project.makepyfile(test_net=WRONG)
    result = run(project, "--mcu-board", "host", "--junitxml", "out.xml", "-n", workers)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*console of net on host*", "hello from the core"])
    result.stdout.re_match_lines([r".*assert \d+ < 10"])
    failures = {
        case.get("name"): case.findtext("failure") or ""
        for case in ElementTree.parse(project.path / "out.xml").iter("testcase")
    }
    assert "hello from the core" in failures["test_output[host]"]
    # A test that runs none shows none, least of all that of the test before.
    assert "console of" not in failures["test_without"] + failures["test_size[host]"]
    # Several workers wait for each other's build.
    assert builds(project) == 1


BOARDS = """
import pytest

def test_any(mcu):
    assert mcu.board in ("host", "microbit")

@pytest.mark.mcu_boards("microbit", "corstone-300")
def test_some(mcu):
    assert mcu.board == "microbit"

def test_none():
    pass
"""


def test_a_test_runs_for_each_chosen_board_that_it_is_for(pytester):
    pytester.makepyfile(BOARDS)
    result = run(pytester, "--mcu-board", "host", "--mcu-board", "microbit", "-rs", "--strict-markers")
    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*for microbit, corstone-300"])


def test_without_a_board_a_test_runs_for_those_that_it_names(pytester):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.mcu_boards('host', 'microbit')\ndef test_it(mcu):\n    pass\n"
    )
    run(pytester).assert_outcomes(passed=2)


def test_without_any_board_it_says_how_to_choose(pytester):
    pytester.makepyfile(BOARDS)
    result = run(pytester, "-k", "test_any")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mcu: no board*", "*hint: Give --mcu-board*mcu_boards*"])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("mcu.build('nett.pte')", ["*McuError: */nett.pte: no such file", "*hint: `mcu-build new`*"]),
        ("mcu.build('net.pte', io='int4')", ["*McuError: --io: 'int4' is none of float, int8"]),
        ("mcu.build('net.pte', colour='red')", ["*unexpected keyword argument 'colour'*"]),
    ],
)
def test_nonsense_is_told_as_by_the_command(project, call, told):
    project.makepyfile(test_it=f"def test_it(mcu):\n    {call}\n")
    result = run(project, "--mcu-board", "host", "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(told)


def test_models_of_one_name_do_not_meet(project, programs):
    (project.path / "other").mkdir()
    (project.path / "other" / "net.pte").write_bytes(programs[1])
    project.makepyfile(
        test_it="import numpy as np\n"
        "def test_it(mcu):\n"
        "    x = np.ones((1, 6), np.float32)\n"
        "    one, other = mcu.build('net.pte'), mcu.build('other/net.pte')\n"
        "    assert not np.array_equal(one.run(x), other.run(x))\n"
    )
    run(project, "--mcu-board", "host", "test_it.py").assert_outcomes(passed=1)


def test_a_session_without_firmware_loads_nothing(pytester):
    pytester.makepyfile("import sys\ndef test_it():\n    assert 'mcu_build.api' not in sys.modules\n")
    result = pytester.runpytest_subprocess("-p", "mcu_build.pytest_plugin")
    result.assert_outcomes(passed=1)


def test_the_project_file_has_the_board_and_the_options(project, monkeypatch):
    monkeypatch.delenv("MCU_BOARD", raising=False)
    lines = ['board = "host"', 'optimize = "size"', "[models.small]", 'file = "net.pte"']
    (project.path / "mcu-build.toml").write_text("\n".join(lines))
    project.makepyfile(
        test_net="""
def test_named(mcu):
    made = mcu.build("small")
    assert made.manifest.optimize == "size" and made.board.id == "host"
    assert mcu.build("net.pte", optimize="speed").manifest.optimize == "speed"
"""
    )
    run(project).assert_outcomes(passed=1)
    monkeypatch.setenv("MCU_BOARD", "hots")
    run(project).assert_outcomes(failed=1)
    run(project, "--mcu-board", "host").assert_outcomes(passed=1)
