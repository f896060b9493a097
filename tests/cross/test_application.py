"""examples/application: two models in one image, from a user's files to the lines on the console."""

import re
import shutil

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.report.elf import read_elf, read_map
from mcu_build.report.size import measure
from mcu_build.resources import data_dir
from mcu_build.simulate.qemu import HINT
from tests.support.firmware import CMAKE, Project

EXAMPLES = data_dir() / "examples"
MACHINES = {"corstone-300": "mps3-an547", "mps2-an386": "mps2-an386"}
CONSOLE = ["digit: 6", "first pump: healthy", "second pump: worn"]
# An image without an end runs until QEMU is stopped; it has said everything long before.
SECONDS = 5
MORE = """
mcu_add_firmware(reading MODELS digits)
mcu_add_firmware(listening MODELS pump)
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MCU_BUILD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def copied(folder) -> Project:
    """The examples in a folder of their own, with one more image for each model."""
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(EXAMPLES / "application", folder / "application", ignore=ignored)
    shutil.copytree(EXAMPLES / "digits", folder / "digits", ignore=ignored)
    with (folder / "application" / "CMakeLists.txt").open("a") as stream:
        stream.write(MORE)
    return Project(folder / "application")


@pytest.fixture(scope="module")
def application(tmp_path_factory, cache):
    return copied(tmp_path_factory.mktemp("examples")).made("arm-clang")


def console(project: Project, machine: str) -> list[str]:
    """What the image says in QEMU, numbers of the reconstruction aside."""
    words = ["-machine", machine, "-display", "none", "-monitor", "none", "-serial", "stdio"]
    qemu = process.find_tool("qemu-system-arm", HINT)
    told = process.run([qemu, *words, "-kernel", project.tree / "application.elf"], timeout=SECONDS).stdout
    return [re.sub(r"error \d+ / 1000, ", "", line) for line in told.splitlines()]


def kernels(project: Project, image: str) -> set[str]:
    """Stems of the kernel sources with bytes in an image."""
    pieces = read_map(project.tree / f"{image}.map", read_elf(project.tree / f"{image}.elf"))
    sources = {piece.source for found in pieces.values() for piece in found}
    return {found[1] for source in sources if (found := re.match(r"libkernel_(\w+)\.a\(\1\.cpp", source))}


def test_both_models_run_in_one_image(application):
    assert console(application, MACHINES["corstone-300"]) == CONSOLE


def test_it_builds_and_runs_for_another_board_with_another_compiler(application):
    project = Project(application.folder, "build-gcc")
    finished = project.configure("arm-gcc", "-DMCU_BOARD=mps2-an386")
    assert finished.status == 0, finished.stderr
    project.build()
    assert console(project, MACHINES["mps2-an386"]) == CONSOLE
    size = measure(
        project.tree / "application.elf", project.tree / "application.map", find_board("mps2-an386")
    )
    assert size.flash["total"] == sum(path.stat().st_size for path in project.tree.glob("application*.bin"))


def test_only_the_kernels_that_a_model_calls_are_in_its_image(application):
    digits, pump = needed_kernels(application, "digits"), needed_kernels(application, "pump")
    assert any("conv" in name for name in digits)
    # Linear layers and the border with float, of the many that there are.
    assert {name.removeprefix("mve_").removeprefix("dsp_") for name in pump} == {"linear", "quantize"}
    assert len(list((data_dir() / "firmware/kernels/reference").glob("*.cpp"))) > 5
    assert kernels(application, "reading") == digits
    assert kernels(application, "listening") == pump
    # The control: the image with both has both.
    assert kernels(application, "application") == digits | pump


def needed_kernels(application, model):
    facts = (application.tree / f"mcu/models/{model}/model.cmake").read_text()
    found = re.search(r"set\(MCU_MODEL_KERNELS (.*)\)", facts)
    assert found
    return set(found[1].split())


def test_a_model_file_that_is_only_newer_changes_nothing(application):
    (application.folder / "pump.py").touch()
    told = application.build()
    assert "generating pump" in told
    assert "Building" not in told and "Linking" not in told


def test_a_model_that_does_not_run_stops_the_build_until_it_does(application):
    file = application.folder / "pump.py"
    whole = file.read_text()
    file.write_text(whole + "raise ValueError('not yet')\n")
    finished = process.run([CMAKE, "--build", application.tree])
    assert finished.status != 0
    assert "pump.py" in finished.stdout + finished.stderr
    assert "ValueError: not yet" in finished.stdout + finished.stderr
    file.write_text(whole)
    assert "Building" not in application.build()


def test_a_changed_model_is_generated_and_built_again_and_no_other(application):
    before = (application.tree / "listening-ddr.bin").read_bytes()
    file = application.folder / "pump.py"
    file.write_text(file.read_text().replace("torch.manual_seed(0)", "torch.manual_seed(1)"))
    told = application.build()
    assert "pump_constants.cpp.obj" in told and "application.elf" in told
    # main.cpp includes pump.h, which tells the scales.
    assert not re.search(r"Building .*(mcu_model_digits|mcu_kernel|_startup|_vectors)", told), told
    assert (application.tree / "listening-ddr.bin").read_bytes() != before
    assert console(application, MACHINES["corstone-300"]) == CONSOLE
