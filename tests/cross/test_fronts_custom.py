"""Custom operators and ExecuTorch's runtime in every build system: the example, and a wrong kernel."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.executorch.package import wheel
from mcu_build.resources import data_dir
from tests.support.bazel import Workspace
from tests.support.firmware import CMAKE, Project

TEXTS = {
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.28)
project(custom LANGUAGES CXX)
enable_testing()
find_package(McuBuild REQUIRED)
mcu_add_model(net MODEL model.py BOARD host RUNTIME @runtime@
              OP_LIBRARY operators.py KERNEL_SOURCES kernels.cpp)
mcu_add_test(net_test MODEL net)
""",
    "SConstruct": """
from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="host", MCU_RUNTIME="@runtime@")
net = env.McuModel("model.py", name="net", op_library=["operators.py"], kernel_sources=["kernels.cpp"])
env.McuTest("net_test", net)
""",
    "BUILD.bazel": """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_firmware_test", "mcu_model")
mcu_model(
    name = "net",
    model = "model.py",
    board = "host",
    kernel_sources = ["kernels.cpp"],
    op_library = ["operators.py"],
    runtime = "@runtime@",
)
mcu_firmware(name = "demo", models = ["net"], board = "host")
mcu_firmware_test(name = "net_test", firmware = "demo")
""",
}


@dataclass(frozen=True)
class Custom:
    """examples/custom_op as a project of one build system."""

    folder: Path
    front: str

    def write(self, runtime: str) -> "Custom":
        """The example's files, and those of every build system."""
        shutil.copytree(data_dir() / "examples" / "custom_op", self.folder, dirs_exist_ok=True)
        for name, text in TEXTS.items():
            (self.folder / name).write_text(text.replace("@runtime@", runtime))
        return self

    def proven(self) -> tuple[int, str]:
        """Build and run the test: its status, and what was told."""
        if self.front == "cmake":
            project = Project(self.folder)
            if not project.tree.exists():
                configured = project.configure(None)
                assert configured.status == 0, configured.stderr
            project.build()
            finished = process.run([CMAKE.with_name("ctest"), "--test-dir", project.tree, "-V"])
        else:
            finished = process.run(["scons", "-Q", "net_test"], cwd=self.folder)
        return finished.status, finished.stdout + finished.stderr

    def spoil(self) -> None:
        """Another kernel than the operator's definition says."""
        file = self.folder / "kernels.cpp"
        text = file.read_text()
        assert "- static_cast<float>(limit)" in text
        file.write_text(text.replace("- static_cast<float>(limit)", "+ static_cast<float>(limit)"))


@pytest.mark.parametrize("runtime", ["static", pytest.param("executorch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("front", ["cmake", pytest.param("scons", marks=pytest.mark.slow)])
def test_cmake_and_scons_prove_custom_operators(tmp_path, front, runtime):
    custom = Custom(tmp_path / "custom", front).write(runtime)
    status, text = custom.proven()
    assert status == 0 and "all 544 equal the quantized program's exactly" in text, text
    custom.spoil()
    status, text = custom.proven()
    assert status != 0
    assert "outputs are wrong" in text
    # Only the user's file was compiled again, and nothing lowered.
    assert not re.search(r" -c .*(linear|quantize|net)\.cpp", text)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["static", "executorch"])
def test_bazel_proves_custom_operators(tmp_path, runtime):
    made = Workspace(tmp_path / "ws").make()
    custom = Custom(made.folder / "custom", "bazel").write(runtime)
    try:
        done = made.run("test", "//custom:net_test", "--test_output=all")
        assert done.status == 0, done.printed
        assert "all 544 equal the quantized program's exactly" in done.printed
        custom.spoil()
        done = made.run("test", "//custom:net_test", "--test_output=all")
        assert done.status != 0 and "outputs are wrong" in done.printed
        # The model stays as it is, and so does what is expected of it.
        assert done.count() == {"CppCompile": 1, "CppLink": 1, "McuLink": 1, "TestRunner": 1}
    finally:
        made.shut_down()


@pytest.fixture
def install(tmp_path):
    """ExecuTorch for a core as far as it is here: the headers, and an archive with nothing in it."""
    prefix = tmp_path / "executorch"
    config = prefix / "lib" / "cmake" / "ExecuTorch" / "executorch-config.cmake"
    config.parent.mkdir(parents=True)
    config.touch()
    (prefix / "include").symlink_to(wheel() / "include")
    (prefix / "lib" / "libexecutorch_core.a").write_bytes(b"!<arch>\n")
    return prefix


@pytest.mark.slow
@pytest.mark.parametrize("front", ["scons", "bazel"])
def test_on_a_core_all_but_executorch_itself_is_there(tmp_path, install, front):
    """No library for a core is there to link with: the linker misses that, and nothing of ours."""
    made = Workspace(tmp_path / "ws").make()
    folder = made.folder / "custom"
    Custom(folder, front).write("executorch")
    scons = f'"mps2-an386", MCU_TOOLCHAIN="arm-gcc", MCU_EXECUTORCH_PREFIX="{install}"'
    for name, board in (("SConstruct", scons), ("BUILD.bazel", '"mps2-an386", toolchain = "arm-gcc"')):
        (folder / name).write_text((folder / name).read_text().replace('"host"', board))
    if front == "scons":
        finished = process.run(["scons", "-Q"], cwd=folder)
        status, text = finished.status, finished.stdout + finished.stderr
    else:
        file = made.folder / "WORKSPACE"
        boards = f'mcu_boards(executorch = {{"mps2-an386": "{install}"}})'
        file.write_text(file.read_text().replace("mcu_boards()", boards))
        done = made.run("build", "//custom:demo")
        made.shut_down()
        status, text = done.status, done.printed
    # GNU ld, unlike lld, tells all that it misses, and looks archives through in order.
    missing = set(re.findall(r"undefined reference to `(.+)'", text))
    assert status != 0 and missing, text
    theirs = re.compile(r"(vtable for |typeinfo for )?executorch::")
    assert not [name for name in missing if not theirs.match(name)]
    assert not re.search(r"\berror: (?!ld returned)", text), text
