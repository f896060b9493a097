"""The server: `server.py SOCKET` loads what commands import, and forks for each until its stdin is closed."""

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
import warnings
from typing import Any, NoReturn

# What is missing here a command loads itself.
_LIBRARIES = (
    *("click", "numpy", "pydantic", "elftools.elf.elffile", "torch", "torch.export", "torchao"),
    *("executorch.exir", "executorch.exir.program", "executorch.exir.dialects._ops"),
    "torchao.quantization.pt2e.quantize_pt2e",
    "executorch.exir.passes._quant_patterns_and_replacements",
    "executorch.backends.cortex_m.quantizer.quantizer",
    "executorch.backends.cortex_m.passes",
    "executorch.backends.arm.ethosu.backend",
)


def load() -> None:
    """Load the libraries as mcu_build would, and nothing of mcu_build."""
    from mcu_build.garbage import search_seldom
    from mcu_build.lower.upstream.without_inductor import load_inductor_late

    search_seldom()
    load_inductor_late()
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere:  # noqa: PTH123
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            for name in _LIBRARIES:
                importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcu_build"]:
        del sys.modules[name]
    gc.freeze()


def serve(connection: socket.socket) -> None:
    """Run one command, tell its process and how it ends; end it where the client is gone."""
    size, descriptors = _received(connection)
    asked = json.loads(_exactly(connection, size))
    child = os.fork()
    if child == 0:
        connection.close()
        run(asked, descriptors)
    for number in descriptors:
        os.close(number)
    connection.sendall(b"%d\n" % child)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % status)


def _received(connection: socket.socket) -> tuple[int, list[int]]:
    """The size of what follows, and the client's stdin, stdout and stderr."""
    numbers = array.array("i")
    size, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * numbers.itemsize))
    for _, _, data in ancillary:
        numbers.frombytes(data)
    return int.from_bytes(size, "little"), list(numbers)


def _exactly(connection: socket.socket, size: int) -> bytes:
    with connection.makefile("rb") as stream:
        return stream.read(size)


def run(asked: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Become the command."""
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:] = asked["search"]
    sys.path_importer_cache.clear()
    sys.dont_write_bytecode = not asked["writes"]
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    status, words = 1, asked["words"]
    try:
        if words[0] == "-m":
            sys.path.insert(0, asked["folder"])
            sys.argv[:] = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(words[0]))  # noqa: PTH120
            sys.argv[:] = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Answer until stdin is closed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(16)
        print("listening", flush=True)
        load()
        while True:
            ready, _, _ = select.select([0, listener], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ChildProcessError):
                if os.fork() == 0:
                    listener.close()
                    serve(connection)
                    os._exit(0)
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


if __name__ == "__main__":
    main()
