"""Commands of tests without the seconds that torch and executorch take to load.

A process with `environment()` in its environment, and all that it starts, hand `mcu-build` and `python -m
mcu_build` over to a server of this test process: it has loaded the libraries, but nothing of mcu_build, and
forks for each command. Where no server answers, they run as ever.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent
SITE, SOCKET = _HERE / "site", "MCU_BUILD_PRELOADED"


def environment(search: Path | str | None = None) -> Mapping[str, str]:
    """What to add to a command's environment. `search` is the PYTHONPATH that it has otherwise."""
    usual = os.environ.get("PYTHONPATH", "") if search is None else str(search)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(SITE), usual))), SOCKET: str(_server())}


@functools.cache
def _server() -> Path:
    """The socket of the server, which ends when this process does: then its stdin is closed."""
    folder = Path(tempfile.mkdtemp(prefix="preloaded-"))
    socket = folder / "socket"
    process = subprocess.Popen(
        [sys.executable, _HERE / "server.py", socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout
    # It listens before it loads: the first command waits for it.
    assert process.stdout.readline() == b"listening\n"

    def end() -> None:
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    return socket
