"""The command as a process: `mcu-build`, and `python -m mcu_build` where its script is not on PATH."""

import os
import signal
import sys
from typing import NoReturn

from mcu_build.garbage import search_seldom


def run() -> NoReturn:
    """Import the command and run it. Ctrl-C before it can answer ends the process without a word.

    Threads of torch sleep while they wait for each other, unless the environment chooses otherwise: where a
    core is busy with something else, threads that spin double a command's processor time. Garbage is looked
    for seldom, or it would take a second while libraries load.
    """
    search_seldom()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # Read once, when torch is loaded.
    answers = signal.getsignal(signal.SIGINT)
    if answers is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mcu_build.cli import program

    signal.signal(signal.SIGINT, answers)
    program()


if __name__ == "__main__":
    sys.exit(run())
