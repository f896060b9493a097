"""Where the code of a model file runs: apart from other models', its reads recorded, its errors explained."""

import contextlib
import gc
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from mcu_build.errors import McuError
from mcu_build.frontend.names import model_name
from mcu_build.recorder import Recorder, is_users_file, note_names

NO_GPU = 'mcu-build computes on the CPU: leave `.cuda()` and `.to("cuda")` out.'


class Surroundings:
    """Where code of a model file runs: its folder on sys.path, its helper modules its own, reads recorded.

    What it prints goes to stderr, since stdout is for data. Compiled modules are not written, so that a
    helper edited twice in one second is not mistaken for its older self.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = str(path.resolve().parent)
        self.recorder = Recorder()
        self._modules: dict[str, ModuleType] = {}
        inside = self.folder + os.sep
        # Modules that others imported from this folder, such as another model's helpers.
        self._strangers = [
            name
            for name, module in sys.modules.copy().items()
            if name != "__main__"
            and any(path.startswith(inside) for path in _paths(module))
            and _is_users(module)
        ]

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Run the block there, and leave the interpreter as it was."""
        hidden = {name: sys.modules.pop(name) for name in self._strangers if name in sys.modules}
        search, writes = list(sys.path), sys.dont_write_bytecode
        sys.modules.update(self._modules)
        before = set(sys.modules).difference(self._modules)
        sys.path.insert(0, self.folder)
        sys.dont_write_bytecode = True
        with self.recorder.active(), contextlib.redirect_stdout(sys.stderr):
            try:
                yield
            finally:
                sys.path[:] = search
                sys.dont_write_bytecode = writes
                self._take(set(sys.modules) - before)
                sys.modules.update(hidden)

    def _take(self, names: Iterable[str]) -> None:
        """Move the user's modules among `names` out of the interpreter."""
        for name in names:
            module = sys.modules[name]
            if _is_users(module):
                if name not in self._modules:
                    for path in _paths(module):
                        note_names(Path(path))
                self._modules[name] = sys.modules.pop(name)

    def run(self) -> ModuleType:
        """Run the file as a module. McuError for what is wrong with it, naming the line."""
        name = f"_mcu_build_model_{model_name(self.path)}"
        file = str(self.path.resolve())
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        importlib.invalidate_caches()
        with self.active(), self.explain(""):
            code = self._compile(Path(file))
        # Takes seconds: after a look at the file, and while nobody records what is read.
        _import_torch()
        with self.active(), self.explain(""):
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            _seed()
            exec(code, vars(module))
        return module

    def iterate(self, key: str, source: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """Items of `source`, each made there; what raises is reported as a mistake under `key`."""
        with self.active(), self.explain(key):
            _seed()
            items = iter(source())
        while True:
            with self.active(), self.explain(key):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    @contextlib.contextmanager
    def explain(self, key: str) -> Iterator[None]:
        """Turn what the file's code raises into an McuError that names the line of the file."""
        try:
            yield
        except McuError:
            raise
        except (Exception, SystemExit) as error:
            line = self._line(error)
            where = ": ".join(part for part in (str(self.path), key, f"line {line}" if line else "") if part)
            text = first_line(error)
            raise McuError(
                f"{where}: {type(error).__name__}" + (f": {text}" if text else ""), _advice(error, key)
            ) from error

    def _line(self, error: BaseException) -> int | None:
        """The last line of the file on the way to where `error` was raised."""
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(self.path.resolve()):
                line = trace.tb_lineno
            trace = trace.tb_next
        return line

    def _compile(self, file: Path) -> CodeType:
        try:
            return compile(file.read_bytes(), file, "exec", dont_inherit=True)
        except SyntaxError as error:
            # The file itself, or a helper would have been imported when it ran.
            where = f"line {error.lineno}: " if error.lineno else ""
            raise McuError(f"{self.path}: {where}{error.msg}", "Correct the Python in it.") from error
        except ValueError as error:
            raise McuError(f"{self.path}: not Python: {error}", "A model file is Python source.") from error


def _advice(error: BaseException, key: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install what has {error.name!r} beside mcu-build, or put the module beside the model."
    if isinstance(error, SystemExit):
        return "It is run without arguments of a command line: give those that it reads a default."
    if "not compiled with CUDA" in str(error):
        return NO_GPU
    if key == "metric":
        return "`mcu-build docs model-file` says what it is called with: outputs and labels of all vectors."
    return "Run the file with Python alone to see where it fails."


def first_line(error: BaseException) -> str:
    """The first line of an error's text; with the next, where that says what the first announces."""
    lines = [line.strip() for line in str(error).strip().split("\n")]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _import_torch() -> None:
    """Import torch without a search for garbage in what it makes, which is there to stay."""
    if "torch" in sys.modules:
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _seed() -> None:
    """Start all random numbers afresh, so that a file without a seed gives the same each time."""
    import random

    import numpy as np
    import torch

    torch.default_generator.manual_seed(0)  # torch.manual_seed notes a stack for each kind of device
    np.random.seed(0)
    random.seed(0)


def _paths(module: ModuleType) -> list[str]:
    """Where a module comes from: its file, or the folders of a namespace package."""
    # Not by getattr: a lazy module may run anything when asked. Not every entry of sys.modules is a module.
    values = getattr(module, "__dict__", {})
    file = values.get("__file__")
    try:
        paths = [file] if file else list(values.get("__path__", ()))
    except Exception:
        return []
    return [_real(path) for path in paths if isinstance(path, str)]


def _is_users(module: ModuleType) -> bool:
    paths = _paths(module)
    return bool(paths) and all(is_users_file(path) for path in paths)


@cache
def _real(path: str) -> str:
    folder, slash, name = path.rpartition(os.sep)
    return _real_folder(folder) + slash + name


@cache
def _real_folder(path: str) -> str:
    return os.path.realpath(path)
