"""The example of every build system, in a folder of its own, with nothing of mcu-build but its wheel."""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.resources import data_dir
from mcu_build.simulate.qemu import HINT
from tests.support.firmware import CMAKE, NINJA
from tests.support.preloaded import environment

_TOOLS = Path(sys.executable).parent
_SECONDS = 120


def installed_wheel(folder: Path) -> Path:
    """The wheel of this checkout, installed into a folder of its own."""
    pip = (sys.executable, "-m", "pip", "-q")
    for words in (
        ("wheel", "--no-deps", "--no-build-isolation", "-w", folder / "wheel", data_dir()),
        ("install", "--no-deps", "--no-index", "-f", folder / "wheel", "-t", folder / "site", "mcu-build"),
    ):
        finished = process.run([*pip, *words])
        assert finished.status == 0, finished.stderr
    return folder / "site"


@dataclass(frozen=True)
class Bad:
    """What is wrong with a target that is otherwise that of the examples. `content` is the model file's."""

    model: str = "knock.py"
    board: str = "corstone-300"
    npu: str = "none"
    content: bytes | None = None

    def told_by_the_command(self, folder: Path, model: Path) -> tuple[str, str]:
        """Message and hint for the file `model`, told from `folder`."""
        words = ("--board", self.board, "--npu", self.npu, "--output", folder / "none", "--json", model)
        finished = process.run(["mcu-build", "generate", *words], cwd=folder)
        error = json.loads(finished.stdout)["error"]
        return error["message"], error["hint"]


BAD = {
    "no_such_model": Bad(model="knick.py"),
    "no_program": Bad(model="knock.pte", content=b"no program"),
    "no_such_npu": Bad(npu="ethos-u99"),
    "no_such_board": Bad(board="corstone300"),
}


@dataclass(frozen=True)
class Front:
    """The example of one build system. `examples` holds a copy of examples/, `site` the installed wheel."""

    name: str
    examples: Path
    site: Path
    cache: Path

    @property
    def folder(self) -> Path:
        """The example's own folder."""
        return self.examples / self.name

    @property
    def images(self) -> Path:
        """Where demo.elf and the files beside it are."""
        return self.folder / "build"

    def call(self, *words: str | Path) -> process.Finished:
        """Run a command as a user of the installed wheel."""
        env = {
            "PATH": f"{self.site / 'bin'}:{_TOOLS}:{os.environ['PATH']}",
            **environment(self.site),
            "MCU_BUILD_CACHE": str(self.cache),
        }
        return process.run(words, cwd=self.folder, env=env)

    def commands(self, target: str) -> Sequence[tuple[str | Path, ...]]:
        """What builds a target; 'all' for all."""
        if self.name == "scons":
            return [("scons", "-Q", *([] if target == "all" else [f"build/{target}"]))]
        generator = ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}")
        found = self.site / "mcu_build" / "data"
        toolchain = f"-DCMAKE_TOOLCHAIN_FILE={found}/toolchains/arm-clang.cmake"
        configure = (CMAKE, "-S", ".", "-B", "build", *generator, toolchain, f"-DMcuBuild_DIR={found}/cmake")
        build = (CMAKE, "--build", "build", "-v")
        if target == "knock_test":
            return [(CMAKE.with_name("ctest"), "--test-dir", "build", "--output-on-failure", "-V")]
        first = [] if (self.images / "build.ninja").is_file() else [configure]
        return [*first, (*build, *([] if target == "all" else ["--target", target]))]

    def tried(self, target: str = "all") -> process.Finished:
        """Build a target; the last command that was run, and all that was told."""
        text = ""
        for command in self.commands(target):
            finished = self.call(*command)
            text += finished.stdout + finished.stderr
            if finished.status != 0:
                break
        return process.Finished(finished.command, finished.status, text, "")

    def build(self, target: str = "all") -> "Steps":
        """Build a target, and tell what was done for it. AssertionError where it fails."""
        before = self._entries()
        finished = self.tried(target)
        assert finished.status == 0, finished.stdout
        compiled = [found[1] for found in re.finditer(r" -c \S*?([^/\s]+\.cpp)\b", _sources(finished.stdout))]
        linked = re.findall(r"-Wl,-Map=\S*?([^/\s]+)\.map", finished.stdout)
        return Steps(sorted(compiled), sorted(linked), len(self._entries() - before), finished.stdout)

    def _entries(self) -> set[str]:
        """Results of stages in the cache: each is one stage that has run."""
        return {file.parent.name for file in self.cache.glob("*/entry.json")}


@dataclass(frozen=True)
class Steps:
    """What a build executed: sources compiled, images linked, stages of the pipeline that ran."""

    compiled: list[str]
    linked: list[str]
    stages: int
    printed: str


def _sources(told: str) -> str:
    """Lines of compilers, with the source behind -c: SCons has the options there."""
    lines = [line for line in told.splitlines() if " -c " in line]
    return "\n".join(f" -c {line.split()[-1]}" for line in lines)


def copied_examples(folder: Path) -> Path:
    """A copy of examples/ without what was built there."""
    ignored = shutil.ignore_patterns("build", "__pycache__", "bazel-*", "*.sconsign.dblite", "digits")
    return Path(shutil.copytree(data_dir() / "examples", folder / "examples", ignore=ignored))


def console(image: Path, machine: str, folder: Path) -> list[str]:
    """What an image prints in QEMU until it says done or failed."""
    file = folder / "uart.txt"
    file.unlink(missing_ok=True)
    qemu = process.find_tool("qemu-system-arm", HINT)
    words = ["-machine", machine, "-display", "none", "-monitor", "none", "-serial", f"file:{file}"]
    limit = time.monotonic() + _SECONDS
    with process.started([qemu, *words, "-kernel", image]):
        while time.monotonic() < limit:
            text = file.read_text() if file.is_file() else ""
            if text.endswith(("done\n", "failed\n")):
                return text.splitlines()
            time.sleep(0.02)
    raise AssertionError(f"no end after {_SECONDS} s: {text}")


def loaded(front: Front) -> Mapping[str, bytes]:
    """The bytes of an image by memory: code and constants."""
    return {file.name: file.read_bytes() for file in sorted(front.images.glob("demo*.bin"))}
