"""What a model file depends on: every file that is read, and every module imported, while it runs.

Python tells of both through its audit events (PEP 578). Libraries that open files in C or Rust tell nobody;
for those, a file that a module of the user's names in a string counts as read.
"""

import ast
import contextlib
import importlib.util
import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

# Folders of the system: devices, processes, settings, libraries.
_SYSTEM = ("/proc", "/dev", "/sys", "/etc", "/lib", "/usr/lib", "/usr/share", "/System", "/Library")
# Anything in a folder of this name is a library that was installed.
_LIBRARY_FOLDERS = ("site-packages", "dist-packages")


class Recorder:
    """Collects paths while it is active. It may be entered several times, one after the other or nested."""

    def __init__(self) -> None:
        self._read: set[str] = set()
        self._written: set[str] = set()
        self._named: set[str] = set()

    @property
    def files(self) -> tuple[Path, ...]:
        """Real paths of what was read, sorted, without what belongs to Python or to a library.

        What is gone by now was temporary.
        """
        found = self._read | (self._named - self._written)
        return tuple(Path(path) for path in sorted(found) if Path(path).is_file())

    @contextmanager
    def active(self) -> Iterator["Recorder"]:
        """Record what this process reads until the end of the block."""
        hook = _hook()
        hook.recorders.append(self)
        try:
            yield self
        finally:
            hook.recorders.remove(self)

    def opened(self, path: str, written: bool) -> None:
        """A file is about to be read, or written from its beginning."""
        _add(path, self._written if written else self._read)

    def named(self, path: str) -> None:
        """A module of the user's names a file in a string."""
        _add(path, self._named)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what is read during the block."""
    with Recorder().active() as recorder:
        yield recorder


def note_names(source: Path) -> None:
    """Tell the active recorders which files a string in `source` names, from its folder or the current.

    `source` may also be a folder or an extension module: those have no strings to read.
    """
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isprintable()):
            continue
        for path in (source.parent / node.value, Path(node.value)):
            # A string may be too long for a path.
            with contextlib.suppress(OSError):
                if path.is_file():
                    for recorder in tuple(_hook().recorders):
                        recorder.named(str(path))


def is_users_file(path: str) -> bool:
    """Whether a file belongs to the user: neither to Python, nor to an installed library, nor to us."""
    return _is_users(os.path.realpath(path))


class _Hook:
    """The one audit hook: Python offers no way to remove it, so it looks for recorders each time."""

    def __init__(self) -> None:
        self.recorders: list[Recorder] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.recorders:
            return
        found = _path_in(event, arguments)
        if found is not None and not _for_a_message():
            for recorder in tuple(self.recorders):
                recorder.opened(*found)


def _add(path: str, to: set[str]) -> None:
    """Add the real path of a file of the user's. What is written need not exist yet."""
    real = os.path.realpath(path)
    if real not in to and _is_users(real):
        to.add(real)


def _path_in(event: str, arguments: tuple[Any, ...]) -> tuple[str, bool] | None:
    """The path that an event is about, and whether the file is written from its beginning."""
    written = False
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int):
            written = flags & os.O_ACCMODE == os.O_WRONLY or bool(flags & os.O_TRUNC)
    elif event == "import":
        path = arguments[1]
    elif event in ("ctypes.dlopen", "sqlite3.connect"):
        path = arguments[0]
    else:
        return None
    if not isinstance(path, str | bytes | os.PathLike):
        return None  # a descriptor, opened before; or a module that is not an extension
    name = os.fsdecode(path)
    return _source_of(name) if name.endswith(".pyc") else name, written


def _for_a_message() -> bool:
    """Whether source is being read to be quoted, as torch does for the lines of every operator."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(3):
        if frame is None:
            return False
        if frame.f_code.co_filename == linecache.__file__:
            return True
        frame = frame.f_back
    return False


@cache
def _hook() -> _Hook:
    hook = _Hook()
    sys.addaudithook(hook)
    return hook


def _source_of(compiled: str) -> str:
    """The source of a .pyc, which is not opened where the .pyc is up to date; else the .pyc itself."""
    try:
        source = importlib.util.source_from_cache(compiled)
    except ValueError:
        return compiled
    return source if Path(source).is_file() else compiled


@cache
def _library_roots() -> tuple[str, ...]:
    """Where Python, its libraries and our own package lie."""
    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    ours = str(Path(__file__).resolve().parents[1])
    roots = {*named, *site.getsitepackages(), site.getusersitepackages(), ours, *_SYSTEM}
    return tuple(os.path.realpath(root) for root in roots if root)


@cache
def _is_users(real: str) -> bool:
    parts = Path(real).parts
    return not any(folder in parts for folder in _LIBRARY_FOLDERS) and not _is_below(real, _library_roots())


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + os.sep) for root in roots)
