"""Bazel in workspaces of tests, and counts of what it did."""

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcu_build import process
from mcu_build.cache import hash_file
from mcu_build.resources import data_dir

_REPOSITORY = data_dir()


@dataclass(frozen=True)
class Step:
    """A step that was taken, or whose result came from a cache."""

    kind: str
    outputs: tuple[str, ...]
    cached: bool


@dataclass(frozen=True)
class Done:
    """An invocation: what it said, and its steps."""

    status: int
    printed: str
    steps: tuple[Step, ...]

    def count(self) -> Counter[str]:
        """Executed steps by kind; those from a cache do not count."""
        return Counter(step.kind for step in self.steps if not step.cached)

    def objects(self) -> list[str]:
        """Names of the objects that were compiled."""
        made = [name for step in self.steps if not step.cached for name in step.outputs]
        return sorted(Path(name).name for name in made if name.endswith(".o"))


@dataclass(frozen=True)
class Workspace:
    """A copy of examples/bazel and examples/consumer with an output base of its own.

    `options` are Bazel's for every build, such as a cache or machines elsewhere.
    """

    top: Path
    disk_cache: Path | None = None
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where WORKSPACE is."""
        return self.top / "bazel"

    @property
    def consumer(self) -> Path:
        """The application and its model."""
        return self.top / "consumer"

    def make(self) -> "Workspace":
        """Copy the examples."""
        for name in ("bazel", "consumer"):
            ignored = shutil.ignore_patterns("bazel-*", "__pycache__")
            shutil.copytree(_REPOSITORY / "examples" / name, self.top / name, ignore=ignored)
        file = self.folder / "WORKSPACE"
        file.write_text(file.read_text().replace('path = "../.."', f'path = "{_REPOSITORY}"'))
        return self

    def command(self, verb: str, *words: str | Path) -> process.Finished:
        """Run Bazel with little memory."""
        environment = {"MCU_BUILD_PYTHON": sys.executable, "PYTHONPATH": str(_REPOSITORY / "python")}
        start = [
            "bazel",
            f"--output_user_root={self.top / 'output'}",
            "--host_jvm_args=-Xmx512m",
            "--max_idle_secs=60",
        ]
        return process.run([*start, verb, *words], cwd=self.folder, env={**os.environ, **environment})

    def run(self, verb: str, *words: str | Path) -> Done:
        """Build or test, and count the steps."""
        log = self.top / "steps.json"
        log.unlink(missing_ok=True)
        cache = [f"--disk_cache={self.disk_cache}"] if self.disk_cache else []
        finished = self.command(
            verb, f"--execution_log_json_file={log}", "--color=no", *cache, *self.options, *words
        )
        steps = tuple(_steps(log.read_text())) if log.is_file() else ()
        return Done(finished.status, finished.stdout + finished.stderr, steps)

    def built(self, *words: str | Path) -> Done:
        """Build; AssertionError with Bazel's words where it fails."""
        done = self.run("build", *words)
        assert done.status == 0, done.printed
        return done

    def output(self, name: str) -> Path:
        """A file that was built for the board."""
        found = list((self.folder / "bazel-out").resolve().glob(f"*/bin/{name}"))
        assert len(found) == 1, found
        return found[0]

    @contextmanager
    def changed(self, file: str, old: str, new: str) -> Iterator[None]:
        """Another text in a file of the consumer's, until the end of the block."""
        path = self.consumer / file
        whole = path.read_text()
        assert old in whole
        path.write_text(whole.replace(old, new))
        try:
            yield
        finally:
            path.write_text(whole)

    def outputs(self) -> dict[str, str]:
        """SHA-256 of all that was built where demo.elf is, by name."""
        folder = self.output("demo.elf").parent
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(folder)): hash_file(path) for path in files}

    def actions(self, query: str) -> list[list[str]]:
        """The command lines of actions, without running them."""
        finished = self.command("aquery", query, "--output=jsonproto")
        assert finished.status == 0, finished.stderr
        return [
            action["arguments"] for action in json.loads(finished.stdout)["actions"] if "arguments" in action
        ]

    def shut_down(self) -> None:
        """End the server, which would keep its memory."""
        self.command("shutdown")


def _steps(text: str) -> Iterator[Step]:
    """The execution log: JSON objects one after the other."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        entry, position = decoder.raw_decode(text, position)
        # Bazel writes a test's XML in a step of its own, which depends on how long the test took.
        if [Path(name).name for name in entry["listedOutputs"]] != ["test.xml"]:
            yield _step(entry)
        while position < len(text) and text[position].isspace():
            position += 1


def _step(entry: dict[str, Any]) -> Step:
    return Step(entry["mnemonic"], tuple(entry["listedOutputs"]), entry["remoteCacheHit"])
