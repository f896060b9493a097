"""Observes what a model file reads and asks for while it runs.

Files read and modules imported, files and modules looked for in vain, folders listed, and what the user's own
code asks for: environment variables, and whether a path is there. Python reports the first ones through its
audit events (PEP 578). Libraries
that open files in C or Rust report nothing; for those, a file that a module of the user's names in a string
counts as read, or as looked for.
"""

import ast
import contextlib
import importlib.util
import linecache
import os
import re
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType
from typing import Any

from mcu_build.dependencies import BUILT, Dependencies, relative
from mcu_build.errors import McuError

# Folders of the system: devices, processes, settings, libraries.
_SYSTEM = ("/proc", "/dev", "/sys", "/etc", "/lib", "/usr/lib", "/usr/share", "/System", "/Library")
# Anything in a folder of this name is a library that was installed.
_LIBRARY_FOLDERS = ("site-packages", "dist-packages")
# A string that may be the name of a file.
_FILE_NAME = re.compile(r"[\w./-]+\.\w{1,8}")


class Recorder:
    """Collects what is observed while it is active. It may be entered several times, in turn or nested."""

    def __init__(self) -> None:
        # Each file with its state when it was first read.
        self._read: dict[str, tuple[int, ...] | None] = {}
        self._written: set[str] = set()
        self._named: dict[str, tuple[int, ...] | None] = {}
        self._absent: set[str] = set()
        self._listed: set[str] = set()
        self._variables: dict[str, str | None] = {}
        self._set: set[str] = set()

    @property
    def files(self) -> tuple[Path, ...]:
        """What was read, sorted, without what belongs to Python or to a library.

        What is gone by now was temporary.
        """
        files = self._read.keys() | (self._named.keys() - self._written)
        return tuple(Path(path) for path in sorted(files) if Path(path).is_file())

    @property
    def dependencies(self) -> Dependencies:
        """All that was observed so far. McuError where a source of the user's was changed since."""
        gone = (self._absent | self._read.keys() | self._named.keys()) - self._written
        absent = (
            path
            for path in map(Path, sorted(gone))
            if not path.exists() and str(path.parent) not in _shared_folders()
        )
        folders = (Path(path) for path in sorted(self._listed) if Path(path).is_dir())
        changed = self._changed()
        if sources := [path for path in changed if path.endswith(".py")]:
            raise McuError(f"{sources[0]}: it was changed while the model was read", "Build again.")
        variables = tuple(sorted(self._variables.items()))
        return Dependencies(self.files, tuple(absent), tuple(folders), variables, settled=not changed)

    def _changed(self) -> list[str]:
        """Files that somebody else wrote since they were read; libraries in C may have, too."""
        return [
            path
            for path, state in self._read.items()
            if path not in self._written and state is not None and _state(path) not in (state, None)
        ]

    @contextmanager
    def active(self) -> Iterator["Recorder"]:
        """Record what this process reads until the end of the block."""
        hook = _hook()
        hook.recorders.append(self)
        usual, stat = os.environ.__class__, os.stat
        os.environ.__class__, os.stat = _Environment, _reporting_stat
        try:
            yield self
        finally:
            os.environ.__class__, os.stat = usual, stat
            hook.recorders.remove(self)

    def opened(self, path: str, written: bool) -> None:
        """A file is about to be read, or written from its beginning."""
        name = _users_path(path)
        if name is not None and written:
            self._written.add(name)
        elif name is not None:
            self._read.setdefault(name, _state(name))

    def named(self, path: str) -> None:
        """A module of the user's names in a string a file that is there, or may once be."""
        name = _users_path(path)
        if name is not None:
            self._named.setdefault(name, _state(name))

    def asked_for(self, path: str) -> None:
        """The user's code asks whether a path is there. Of a folder, which entries it has counts too."""
        if not Path(path).is_dir():
            self.named(path)
        elif not BUILT.fullmatch(Path(path).name):
            self.listed(path)

    def looked_for(self, module: str, folders: Iterable[str]) -> None:
        """A module is being looked for in `folders`, one after the other."""
        for folder in folders:
            for candidate in _candidates(Path(folder or "."), module):
                name = _users_path(str(candidate))
                if candidate.is_file():
                    return
                if name is not None:
                    self._absent.add(name)

    def listed(self, folder: str) -> None:
        """Entries of a folder are about to be listed."""
        name = _users_path(folder)
        if name is not None and name not in _shared_folders():
            self._listed.add(name)

    def variable(self, name: str, value: str | None) -> None:
        """The user's code reads a variable of the environment."""
        if name not in self._set:
            self._variables.setdefault(name, value)

    def variable_set(self, name: str) -> None:
        """The user's code sets a variable: what it reads from now on is its own."""
        self._set.add(name)


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
        may_come = bool(_FILE_NAME.fullmatch(node.value))
        for path in (source.parent / node.value, Path(node.value)):
            # A string may be too long for a path.
            with contextlib.suppress(OSError):
                if path.is_file() or may_come:
                    for recorder in tuple(_hook().recorders):
                        recorder.named(str(path))


def is_users_file(path: str) -> bool:
    """Whether a file belongs to the user: neither to Python, nor to an installed library, nor to us.

    A relative path, as traces of operators hold it, is relative to the user's model.
    """
    if not Path(path).is_absolute():
        return not set(Path(path).parts) & set(_LIBRARY_FOLDERS)
    return _is_users(os.path.realpath(path))


def without_folders(trace: str, base: Path) -> str:
    """A stack trace with its paths relative to the folder `base`, those of libraries to theirs."""

    def shorten(match: re.Match[str]) -> str:
        path = Path(match[2])
        if not path.is_absolute():
            return match[0]
        inside = [index for index, part in enumerate(path.parts) if part in _LIBRARY_FOLDERS]
        if inside:
            return f"{match[1]}{Path(*path.parts[inside[-1] :])}{match[3]}"
        if not is_users_file(match[2]):
            return f"{match[1]}{_LIBRARY_FOLDERS[0]}/{path.name}{match[3]}"
        return f"{match[1]}{relative(path, base)}{match[3]}"

    return re.sub(r'(File ")([^"]+)(")', shorten, trace)


class _Environment(os._Environ):  # type: ignore[type-arg]
    """os.environ while recorders are active: it reports what code of the user's reads and sets."""

    def __getitem__(self, key: str) -> str:
        if _is_users_call():
            for recorder in tuple(_hook().recorders):
                recorder.variable(key, self._peek(key))
        return str(super().__getitem__(key))

    def __setitem__(self, key: str, value: str) -> None:
        if _is_users_call():
            for recorder in tuple(_hook().recorders):
                recorder.variable_set(key)
        super().__setitem__(key, value)

    def _peek(self, key: str) -> str | None:
        try:
            return str(super().__getitem__(key))
        except KeyError:
            return None


_stat = os.stat


def _reporting_stat(path: Any, **options: Any) -> os.stat_result:
    """os.stat while recorders are active: it reports what code of the user's asks for."""
    if isinstance(path, str | bytes | os.PathLike) and _is_users_question():
        for recorder in tuple(_hook().recorders):
            recorder.asked_for(os.fsdecode(path))
    return _stat(path, **options)


class _Hook:
    """The one audit hook: Python offers no way to remove it, so it looks for recorders each time."""

    def __init__(self) -> None:
        self.recorders: list[Recorder] = []

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Report nothing of what the block reads."""
        recorders, self.recorders = self.recorders, []
        try:
            yield
        finally:
            self.recorders = recorders

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.recorders:
            return
        if event == "import" and _is_users_call():
            module, _, search, *_ = arguments
            for recorder in tuple(self.recorders):
                recorder.looked_for(module.rpartition(".")[2], _search(module, search or ()))
        if event in ("os.listdir", "os.scandir") and _is_for_user():
            folder = "." if arguments[0] is None else arguments[0]
            if isinstance(folder, str | bytes | os.PathLike):
                for recorder in tuple(self.recorders):
                    recorder.listed(os.fsdecode(folder))
        path = _path_in(event, arguments)
        if path is not None and not _for_a_message():
            for recorder in tuple(self.recorders):
                recorder.opened(*path)


def _users_path(path: str) -> str | None:
    """A path of the user's as it was opened, absolute; None for what is not the user's. It need not exist."""
    if not _is_users(os.path.realpath(path)):
        return None
    # `..` behind a symbolic link is not the folder above the link.
    return os.path.realpath(path) if ".." in Path(path).parts else str(Path(path).absolute())


def _state(path: str) -> tuple[int, ...] | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _search(module: str, search: Iterable[str]) -> list[str]:
    """Where a module is looked for: in its package, else on sys.path."""
    package = sys.modules.get(module.rpartition(".")[0])
    return [str(folder) for folder in (vars(package).get("__path__", ()) if package else search)]


def _candidates(folder: Path, module: str) -> list[Path]:
    """The files that may be the module `module` of a folder, in the order in which Python tries them."""
    suffixes = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)
    inside = [folder / module / f"__init__{suffix}" for suffix in suffixes]
    return inside + [folder / f"{module}{suffix}" for suffix in suffixes]


@cache
def _shared_folders() -> tuple[str, ...]:
    """Folders in which anybody makes files at any time."""
    return (str(Path(tempfile.gettempdir()).absolute()), str(Path.home()), "/")


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


def _is_users_call() -> bool:
    """Whether the nearest frame that is neither ours nor of Python's import system and os is the user's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in (__file__, os.__file__) and not file.startswith("<frozen"):
            return is_users_file(file)
        frame = frame.f_back
    return False


def _is_users_question() -> bool:
    """Whether the nearest frame that does not belong to Python's modules about paths is the user's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename in _path_modules():
        frame = frame.f_back
    file = frame.f_code.co_filename if frame else __file__
    return file != __file__ and is_users_file(file)


@cache
def _path_modules() -> frozenset[str]:
    """The files of Python's modules about paths, as their code names them."""
    asking = (os.makedirs, os.path.exists, os.path.samefile, Path.exists)
    return frozenset(function.__code__.co_filename for function in asking)


def _is_for_user() -> bool:
    """Whether the user's code lists a folder, itself or through a library other than torch."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib") or "torch" in Path(file).parts:
            return False
        if is_users_file(file) and not file.startswith("<"):
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
    archives = [path for path in sys.path if path.endswith(".zip") and path.startswith(sys.base_prefix)]
    roots = {*named, *archives, *site.getsitepackages(), site.getusersitepackages(), ours, *_SYSTEM}
    return tuple(os.path.realpath(root) for root in roots if root)


@cache
def _is_users(real: str) -> bool:
    path = Path(real)
    return not (
        any(folder in path.parts for folder in _LIBRARY_FOLDERS)
        or _is_below(real, _library_roots())
        or any(
            part in _installed(str(folder)) for part, folder in zip(path.parts[1:], _above(path), strict=True)
        )
    )


def _above(path: Path) -> Iterator[Path]:
    """The folders above a path, from the root on."""
    return reversed(path.parents)


@cache
def _installed(folder: str) -> frozenset[str]:
    """What packages have put into a folder of any name, as `pip install --target` does."""
    with _hook().silent():
        files = [file for distribution in distributions(path=[folder]) for file in distribution.files or ()]
    return frozenset(file.parts[0] for file in files)


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root + os.sep) for root in roots)
