"""Commands that a server runs are those of a process of their own."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcu_build import process
from tests.support.preloaded import SOCKET, environment

MODEL = """
import os, pathlib, time, torch
pathlib.Path("ran").write_text(f"{os.getpid()} {os.getppid()}")
while pathlib.Path("wait").exists():
    time.sleep(0.05)
model = torch.nn.Linear(8, 4)
example_inputs = (torch.zeros(1, 8),)
"""
GENERATE = ("generate", "--board", "mps2-an386", "--output", "out", "net.py")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net.py").write_text(MODEL)
    return tmp_path


def called(words, env, folder):
    return process.run([sys.executable, "-m", "mcu_build", *words], env=env, cwd=folder)


def seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_what_is_printed_and_the_status_are_the_same(folder):
    for words in (["boards", "--json"], ["boards", "nowhere"], ["generate", "--nonsense"]):
        alone, handed = called(words, {}, folder), called(words, environment(), folder)
        assert (handed.status, handed.stdout, handed.stderr) == (alone.status, alone.stdout, alone.stderr)


def test_libraries_are_loaded(folder):
    used = seconds()
    handed = called(GENERATE, {**environment(), "MCU_BUILD_CACHE": str(folder / "cache")}, folder)
    assert handed.status == 0, handed.stderr
    assert (folder / "out" / "net.cpp").is_file()
    # A command that loads torch takes seconds.
    assert seconds() - used < 1


def test_a_command_whose_client_is_killed_ends(folder):
    (folder / "wait").touch()
    env = {**os.environ, **environment(), "MCU_BUILD_CACHE": str(folder / "cache")}
    client = subprocess.Popen([sys.executable, "-m", "mcu_build", *GENERATE], env=env, cwd=folder)
    try:
        until(lambda: (folder / "ran").is_file() and (folder / "ran").read_text())
        command, parent = map(int, (folder / "ran").read_text().split())
        assert parent != client.pid
        os.kill(command, 0)
    finally:
        client.kill()
        client.wait()
    until(lambda: not Path(f"/proc/{command}").exists())
    assert not (folder / "out").exists()


def test_without_a_server_a_command_runs_as_ever(folder):
    finished = called(["boards", "nowhere"], {**environment(), SOCKET: str(folder / "none")}, folder)
    assert finished.status == 1 and "nowhere" in finished.stderr


def until(condition, limit=120):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
