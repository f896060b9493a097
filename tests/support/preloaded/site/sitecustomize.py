"""The client: python imports this module as it starts, and hands commands of mcu-build over to the server."""

import contextlib
import os
import sys


def _is_command(words: list[str]) -> bool:
    return words[:2] == ["-m", "mcu_build"] or (bool(words) and os.path.basename(words[0]) == "mcu-build")  # noqa: PTH119


def _hand_over(words: list[str], address: str) -> None:
    """Have the server run the command, and end as it does. OSError where it does not answer."""
    import array
    import json
    import signal
    import socket

    asked = {
        "words": words,
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "search": sys.path,
        "writes": not sys.dont_write_bytecode,
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        descriptors = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))]
        text = json.dumps(asked).encode()
        connection.sendmsg([len(text).to_bytes(4, "little")], descriptors)
        connection.sendall(text)
        answers = connection.makefile()
        process = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.killpg(process, number))
        status = int(answers.readline() or 1)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if _is_command(sys.orig_argv[1:]) and "MCU_BUILD_PRELOADED" in os.environ:
    with contextlib.suppress(OSError):
        _hand_over(sys.orig_argv[1:], os.environ["MCU_BUILD_PRELOADED"])
