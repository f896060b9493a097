"""The project file and the build options in CMake and SCons: read as by the command, refused by name."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import mcu_build
from mcu_build import process
from tests.support.cli import mcu_build as command
from tests.support.firmware import NINJA, Project
from tests.support.mcuboot import is_signed, new_key

MODEL = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
"""
PROJECT = """
board = "host"
optimize = "size"
executorch_prefix = "of/others"

[models.small]
file = "nets/net.pte"
method = "forward"
"""
CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.24)
project(demo LANGUAGES CXX)
enable_testing()
find_package(McuBuild REQUIRED)
mcu_add_model(net MODEL nets/net.pte @cmake@)
mcu_add_test(net_test MODEL net VECTORS 3)
"""
SCONSTRUCT = """
from mcu_build import scons
env = Environment(tools=["default", scons.tool])
net = env.McuModel("nets/net.pte", name="net"@scons@)
env.McuTest("net_test", net, vectors=3)
"""


@dataclass(frozen=True)
class Found:
    """What a build system said, and how it compiles the model."""

    status: int
    printed: str
    compiled: str = ""
    tested: str = ""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program: no torch is needed to build it."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "net.py").write_text(MODEL)
    return mcu_build.build(folder / "net.py", board="host", build_dir=folder).path("program").read_bytes()


@pytest.fixture
def folder(tmp_path, program, monkeypatch):
    """A project of a user's."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "net.pte").write_bytes(program)
    (tmp_path / "mcu-build.toml").write_text(PROJECT)
    for name in ("MCU_BOARD", "MCU_OPTIMIZE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def tried(front: str, folder: Path, arguments: str = "", *variables: str) -> Found:
    """Configure the project, or read its SConstruct: nothing is compiled."""
    if front == "cmake":
        (folder / "CMakeLists.txt").write_text(CMAKE_LISTS.replace("@cmake@", arguments))
        project = Project(folder)
        done = project.configure(None, *variables)
        if done.status:
            return Found(done.status, " ".join((done.stdout + done.stderr).split()))
        tests = (project.tree / "CTestTestfile.cmake").read_text()
        return Found(0, done.stdout, flags(project.tree), tests)
    (folder / "SConstruct").write_text(SCONSTRUCT.replace("@scons@", arguments))
    words = [sys.executable, "-m", "SCons", "-Q", "--dry-run", "net_test", *variables]
    done = process.run(words, cwd=folder)
    lines = done.stdout.splitlines() or [""]
    compiled = next((line for line in lines if "net_constants.cpp" in line), "")
    return Found(done.status, " ".join((done.stdout + done.stderr).split()), compiled, lines[-1])


def flags(tree: Path) -> str:
    """The options with which CMake compiles the model."""
    found = re.search(r"mcu_model_net.*?FLAGS = ([^\n]*)", (tree / "build.ninja").read_text(), re.DOTALL)
    return found[1] if found else ""


FRONTS = ("cmake", "scons")


@pytest.mark.parametrize("front", FRONTS)
def test_the_project_file_is_read(front, folder):
    found = tried(front, folder)
    assert found.status == 0, found.printed
    # What a static model has no use for is for others.
    assert "-Os" in found.compiled
    for words in ("--optimize size", "--method forward", "--board host", "--vectors 3"):
        assert words in found.tested.replace('"', "")
    said = {"cmake": "OPTIMIZE speed", "scons": ", optimize='speed'"}
    assert "-Os" not in tried(front, folder, said[front]).compiled


@pytest.mark.parametrize("front", FRONTS)
def test_variables_go_before_the_file_and_arguments_before_them(front, folder, monkeypatch):
    monkeypatch.setenv("MCU_OPTIMIZE", "speed")
    assert "-Os" not in tried(front, folder).compiled
    said = {"cmake": "OPTIMIZE size", "scons": ", MCU_OPTIMIZE='size'"}
    assert "-Os" in tried(front, folder, said[front]).compiled


def test_a_variable_of_cmake_is_for_all_models(folder):
    assert "-Os" not in tried("cmake", folder, "", "-DMCU_OPTIMIZE=speed").compiled


FILE = {
    "value": ('optimize = "size"', "optimize = 3", "mcu-build.toml: optimize: 3 is none of speed, size, ram"),
    "place": ('board = "host"', 'board = "host"\ndata = ["a.ptd"]', "data: not for all models: write"),
    "word": ("optimize", "optimise", "mcu-build.toml: optimise: no such key: did you mean optimize?"),
    "list": ('method = "forward"', 'data = "a.ptd"', "models.small.data: a list is expected"),
}  # fmt: skip
ARGUMENTS = {
    "unknown": ("IOO int8", ", ioo='int8'", "unknown argument"),
    "choice": ("IO int4", ", io='int4'", "'int4' is none of float, int8"),
    "number": ("LATENCY much", ", latency='much'", "'much' is not a number from 0 on"),
    "idle": ("OPS a::b", ", ops=['a::b']", "it has no effect without"),
    "gone": ("METHOD other", ", method='other'", "no method 'other'"),
}


def check_refused(found: Found, said: str) -> None:
    """The reason is told, with options as the build system spells them, and nothing of Python."""
    assert found.status != 0 and said in found.printed
    assert "Traceback" not in found.printed and "defect of mcu-build" not in found.printed
    assert not re.search(r"--(io|latency|ops|method|runtime)\b", found.printed)


@pytest.mark.parametrize("case", FILE)
def test_what_is_wrong_in_the_file_is_named(folder, case):
    old, new, said = FILE[case]
    text = (folder / "mcu-build.toml").read_text()
    assert old in text
    (folder / "mcu-build.toml").write_text(text.replace(old, new, 1))
    check_refused(tried("cmake" if case == "place" else "scons", folder), said)


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_wrong_argument_is_named(folder, case):
    cmake, scons, said = ARGUMENTS[case]
    check_refused(tried("scons", folder, scons), said)
    if case in ("number", "idle"):
        check_refused(tried("cmake", folder, cmake), said)


def test_a_changed_project_file_configures_again(folder):
    assert "-Os" in tried("cmake", folder).compiled
    file, tree = folder / "mcu-build.toml", Project(folder).tree
    file.write_text(file.read_text().replace("size", "speed"))
    done = process.run([NINJA, "-C", tree, "build.ninja"])
    assert done.status == 0, done.stdout
    assert "-Os" not in flags(tree)


LIMITS = """
board = "mps2-an386"
max_flash = "64K"
min_sqnr = 10
max_instructions = 1000000
"""
LIMITED = {
    "cmake": """
cmake_minimum_required(VERSION 3.24)
project(demo LANGUAGES CXX)
enable_testing()
find_package(McuBuild REQUIRED)
mcu_add_model(named MODEL nets/net.pte)
mcu_add_firmware(app MODELS named MAX_RAM @ram@)
mcu_add_test(checked MODEL named VECTORS 3 MAX_CYCLES @cycles@)
""",
    "scons": """
from mcu_build import scons
env = Environment(tools=["default", scons.tool])
named = env.McuModel("nets/net.pte", name="named")
env.McuFirmware("app", [named], max_ram="@ram@")
env.McuTest("checked", named, vectors=3, max_cycles="@cycles@")
""",
}


def limited(front: str, folder: Path, ram: str, cycles: str = "1000000") -> tuple[str, str]:
    """What the build of an image prints, with its status, and the commands of its test, which is not run."""
    text = LIMITED[front].replace("@ram@", ram).replace("@cycles@", cycles)
    (folder / ("CMakeLists.txt" if front == "cmake" else "SConstruct")).write_text(text)
    if front == "cmake":
        tree = Project(folder).tree
        if not (tree / "build.ninja").is_file():
            assert Project(folder).configure("arm-clang").status == 0
        done = process.run([NINJA, "-C", tree, "app.elf"])
        tests = (tree / "CTestTestfile.cmake").read_text()
    else:
        scons = [sys.executable, "-m", "SCons", "-Q"]
        done = process.run([*scons, "app.elf"], cwd=folder)
        tests = process.run([*scons, "--dry-run", "checked"], cwd=folder).stdout
    return f"{done.status} {' '.join((done.stdout + done.stderr).split())}", tests.replace('"', "")


@pytest.mark.parametrize("front", FRONTS)
def test_budgets_of_the_file_and_of_targets(front, folder):
    (folder / "mcu-build.toml").write_text(LIMITS)
    build, test = limited(front, folder, "64K")
    assert build.startswith("0 "), build
    assert "--min-sqnr 10.0" in test and "--max-flash" not in test
    assert "--max-instructions 1000000 --max-cycles 1000000" in test
    build, test = limited(front, folder, "8K", "10")
    assert not build.startswith("0 ") and "error: app: RAM: " in build and "the budget is 8,192" in build
    assert "--max-cycles 10 " in test
    (folder / "mcu-build.toml").write_text(LIMITS.replace("64K", "1K"))
    assert "error: app: flash: " in limited(front, folder, "64K")[0]


def test_an_image_of_others_is_counted(folder):
    """A model may be called otherwise there than its file."""
    (folder / "mcu-build.toml").write_text(LIMITS)
    limited("cmake", folder, "64K", "10")
    tree = Project(folder).tree
    assert process.run([NINJA, "-C", tree, "checked.elf"]).status == 0
    words = ["-b", "mps2-an386", "--image", tree / "checked.elf", folder / "nets" / "net.pte"]
    text = command("profile", *words, "--max-cycles", "10")
    assert text.status == 6 and "modelled cycles, the budget is 10" in text.err
    assert command("profile", *words, "--json").json["layers"][1]["kernel"].startswith("dsp_linear")


@pytest.mark.parametrize("front", FRONTS)
def test_budgets_that_are_none_are_named(front, folder):
    (folder / "mcu-build.toml").write_text(LIMITS)
    (folder / "CMakeLists.txt").write_text(LIMITED["cmake"].replace("MAX_RAM", "MAX_ROM"))
    (folder / "SConstruct").write_text(LIMITED["scons"].replace("max_ram", "max_rom"))
    if front == "scons":
        done = process.run([sys.executable, "-m", "SCons", "-Q"], cwd=folder)
        assert "unknown argument 'max_rom'" in done.stdout + done.stderr
    else:
        done = Project(folder).configure("arm-clang")
        assert "'MAX_ROM' is neither a model nor an argument" in " ".join(done.stderr.split())
    assert done.status != 0


SLOTS = """
from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="mps2-an386")
net = env.McuModel("nets/net.pte", name="net", runtime="table", program_slot="0x21ff0000:64K")
env.McuFirmware("demo", [net])
env.McuTest("net_test", net)
"""


def test_scons_links_program_slots_where_they_lie(folder):
    (folder / "SConstruct").write_text(SLOTS)
    done = process.run([sys.executable, "-m", "SCons", "-Q", "--dry-run", "demo.elf", "net_test"], cwd=folder)
    links = {
        found[1]: line for line in done.stdout.splitlines() if (found := re.search(r"-o (\S+\.elf)", line))
    }
    assert links.keys() == {"demo.elf", "net_test.elf"}, done.stderr
    # In a production image they are an address, in a test image part of it.
    assert "-Wl,--defsym=net_program_slots=0x21ff0000" in links["demo.elf"]
    assert "defsym" not in links["net_test.elf"]


SIGNED = """
from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="netduinoplus2")
net = env.McuModel("nets/net.pte", name="net")
env.McuFirmware("demo", [net], sign="key.pem", version="1.2.3", pad=True)
"""


def test_scons_signs_an_image_for_mcuboots_slot(folder):
    (folder / "SConstruct").write_text(SIGNED)
    key = new_key(folder / "key.pem")
    scons = (sys.executable, "-m", "SCons", "-Q")
    done = process.run([*scons, "."], cwd=folder)
    assert done.status == 0, done.stdout + done.stderr
    for kind in ("signed", "update"):
        assert is_signed(folder / f"demo.{kind}.bin", key)
    listed = process.run([*scons, "--dry-run", "demo.flash"], cwd=folder).stdout
    assert f"--sign {folder / 'key.pem'} --version 1.2.3" in listed and "--pad" not in listed
    (folder / "SConstruct").write_text(SIGNED.replace('sign="key.pem", ', ""))
    done = process.run(scons, cwd=folder)
    assert done.status != 0 and "version, pad: for signed images only" in done.stdout + done.stderr
    (folder / "SConstruct").write_text(SIGNED.replace("netduinoplus2", "mps2-an386"))
    done = process.run(scons, cwd=folder)
    assert done.status != 0 and "sign: mps2-an386 describes no slot" in done.stdout + done.stderr
