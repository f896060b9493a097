"""examples/application: two models in one image, from a user's files to the lines on the console."""

import re
import shutil

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.errors import Exit
from mcu_build.image.elf import read_elf, read_map
from mcu_build.image.size import measure
from mcu_build.resources import data_dir
from tests.support.firmware import CMAKE, COMMAND, Project
from tests.support.preloaded import environment

EXAMPLES = data_dir() / "examples"
CONSOLE = ["digit: 6", "first pump: healthy", "second pump: worn"]
# An image without an end runs until QEMU is stopped; it has said everything long before.
SECONDS = 5
MORE = """
mcu_add_model(core_digits MODEL ../digits/model.py NPU none)
mcu_add_firmware(on_core MODELS core_digits)
mcu_add_firmware(reading MODELS digits)
mcu_add_firmware(listening MODELS pump)
"""


def copied(folder) -> Project:
    """The examples in a folder of their own, with one more image for each model."""
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(EXAMPLES / "application", folder / "application", ignore=ignored)
    shutil.copytree(EXAMPLES / "digits", folder / "digits", ignore=ignored)
    with (folder / "application" / "CMakeLists.txt").open("a") as stream:
        stream.write(MORE)
    return Project(folder / "application")


@pytest.fixture(scope="module")
def application(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("examples")).made("arm-clang")


def console(project: Project, board: str) -> list[str]:
    """What the image says in QEMU, numbers of the reconstruction aside."""
    words = ["run", "--board", board, project.tree / "application.elf", "--timeout", str(SECONDS)]
    finished = process.run([COMMAND, *words])
    assert finished.status == Exit.TIMEOUT
    return [re.sub(r"error \d+ / 1000, ", "", line) for line in finished.stdout.splitlines()]


def kernels(project: Project, image: str) -> set[str]:
    """Stems of the kernel sources with bytes in an image."""
    pieces = read_map(project.tree / f"{image}.map", read_elf(project.tree / f"{image}.elf"))
    sources = {piece.source for found in pieces.values() for piece in found}
    return {found[1] for source in sources if (found := re.match(r"libkernel_(\w+)\.a\(\1\.cpp", source))}


def test_both_models_run_in_one_image(application):
    assert console(application, "corstone-300") == CONSOLE


@pytest.mark.slow
def test_it_builds_and_runs_for_another_board_with_another_compiler(application):
    project = Project(application.folder, "build-gcc")
    finished = project.configure("arm-gcc", "-DMCU_BOARD=mps2-an386")
    assert finished.status == 0, finished.stderr
    project.build()
    assert console(project, "mps2-an386") == CONSOLE
    size = measure(
        project.tree / "application.elf", project.tree / "application.map", find_board("mps2-an386")
    )
    assert size.flash["total"] == sum(path.stat().st_size for path in project.tree.glob("application*.bin"))


def test_only_the_kernels_that_a_model_calls_are_in_its_image(application):
    digits, pump = needed_kernels(application, "digits"), needed_kernels(application, "pump")
    # The NPU and the boundary with float, of the many that there are.
    assert pump == {"ethos_u", "mve_quantize", "copy"} <= digits
    on_core = needed_kernels(application, "core_digits")
    assert any("conv" in name for name in on_core) and "ethos_u" not in on_core
    assert len(list((data_dir() / "firmware/kernels/reference").glob("*.cpp"))) > 5
    assert kernels(application, "reading") == digits
    assert kernels(application, "listening") == pump
    assert kernels(application, "on_core") == on_core
    # The control: the image with both has both.
    assert kernels(application, "application") == digits | pump


def test_models_share_the_driver_of_the_npu_and_the_run_target_models_it(application):
    pieces = read_map(application.tree / "application.map", read_elf(application.tree / "application.elf"))
    objects = {piece.source for found in pieces.values() for piece in found}
    assert [name for name in objects if "libkernel_ethos_u" in name]
    assert len(list(application.tree.rglob("libkernel_ethos_u.a"))) == 1
    rules = (application.tree / "build.ninja").read_text()
    (with_npu,) = re.findall(r"COMMAND = .* run --board .* --npu ethos-u55-128 .*reading\.elf", rules)
    (without,) = re.findall(r"COMMAND = .*qemu-system-arm .*on_core\.elf", rules)
    assert "mcu-build" in with_npu and "mcu-build" not in without


def needed_kernels(application, model):
    facts = (application.tree / f"mcu/models/{model}/model.cmake").read_text()
    found = re.search(r"set\(MCU_MODEL_KERNELS (.*)\)", facts)
    assert found
    return set(found[1].split())


def test_a_model_file_that_is_only_newer_changes_nothing(application):
    (application.folder / "pump.py").touch()
    text = application.build()
    assert "generating pump" in text
    assert "Building" not in text and "Linking" not in text


def test_a_model_that_does_not_run_stops_the_build_until_it_does(application):
    file = application.folder / "pump.py"
    whole = file.read_text()
    file.write_text(whole + "raise ValueError('not yet')\n")
    finished = process.run([CMAKE, "--build", application.tree], env=environment())
    assert finished.status != 0
    assert "pump.py" in finished.stdout + finished.stderr
    assert "ValueError: not yet" in finished.stdout + finished.stderr
    file.write_text(whole)
    assert "Building" not in application.build()


def test_a_changed_model_is_generated_and_built_again_and_no_other(application):
    before = (application.tree / "listening-ddr.bin").read_bytes()
    file = application.folder / "pump.py"
    file.write_text(file.read_text().replace("torch.manual_seed(0)", "torch.manual_seed(1)"))
    text = application.build()
    assert "pump_constants.cpp.obj" in text and "application.elf" in text
    # main.cpp includes pump.h, which tells the scales.
    assert not re.search(r"Building .*(mcu_model_digits|mcu_kernel|_startup|_vectors)", text), text
    assert (application.tree / "listening-ddr.bin").read_bytes() != before
    assert console(application, "corstone-300") == CONSOLE
