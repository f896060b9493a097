"""Bazel with BuildGrid, which executes: no action of a build runs here, and images are the same to the byte.

BuildGrid keeps its queue in PostgreSQL. An environment of its own is made for it, as it wants other versions
of what we use; the worker is ours, tests/support/grid_worker.py.
"""

import os
import re
import tempfile
import venv
from contextlib import ExitStack
from pathlib import Path

import pytest

from mcu_build import process
from tests.cross.test_bazel_remote import free_port, wait_for
from tests.support.bazel import Workspace

WORKER = Path(__file__).parents[1] / "support/grid_worker.py"
PACKAGES = ("buildgrid==0.4.4", "psycopg2-binary", "psycopg[binary]")
CONFIGURATION = """
server:
  - !channel
    address: "127.0.0.1:{port}"
    insecure-mode: true
authorization: {{method: none}}
monitoring: {{enabled: false}}
connections:
  - !sql-connection &sql
    connection-string: postgresql+psycopg2://postgres@127.0.0.1:{database}/postgres
storages:
  - !disk-storage &storage
    path: {folder}/cas
caches:
  - !lru-action-cache &cache
    storage: *storage
    max-cached-refs: 1024
    allow-updates: true
    cache-failed-actions: false
schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    storage: *storage
    action-cache: *cache
    assigners:
      - !priority-age-assigner
        count: 1
        interval: 0.1
        priority-assignment-percentage: 100
instances:
  - name: ""
    services:
      - !action-cache
        cache: *cache
      - !execution
        scheduler: *scheduler
      - !bots
        scheduler: *scheduler
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
thread-pool-size: 50
"""


def done(*words, env=None):
    """Run what has to succeed."""
    finished = process.run(words, env=env, timeout=600)
    assert finished.status == 0, finished.stdout + finished.stderr


@pytest.fixture
def grid(tmp_path):
    """The address of a BuildGrid with one worker, and the file where that counts its actions."""
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not tools:
        pytest.fail("PostgreSQL is missing: scripts/test --all installs it")
    folder, python = tmp_path / "grid", tmp_path / "grid/venv/bin"
    for place in ("work", "cas"):
        (folder / place).mkdir(parents=True)
    venv.create(folder / "venv", with_pip=True)
    done(python / "pip", "install", "-q", *PACKAGES)
    database, port = free_port(), free_port()
    file, count = folder / "grid.yml", folder / "count"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, database=database))
    count.touch()
    # PostgreSQL refuses to run as root.
    other = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory() as data, ExitStack() as running:
        Path(data).chmod(0o777)
        done(*other, tools[-1] / "initdb", "-D", f"{data}/data", "-U", "postgres", "-A", "trust")
        serve = [*other, tools[-1] / "postgres", "-D", f"{data}/data", "-p", str(database), "-k", data]
        running.enter_context(process.started([*serve, "-c", "listen_addresses=127.0.0.1"]))
        migrate = [python / "bgd", "migrate", "apply", f"postgresql://postgres@127.0.0.1:{database}/postgres"]
        wait_for(database)
        done(*migrate)
        running.enter_context(process.started([python / "bgd", "server", "start", file]))
        wait_for(port)
        worker = [python / "python", WORKER, f"127.0.0.1:{port}", folder / "work", count]
        running.enter_context(process.started(worker))
        yield f"grpc://127.0.0.1:{port}", count


@pytest.mark.slow
def test_all_actions_are_executed_by_buildgrid(grid, tmp_path):
    address, count = grid
    options = (f"--remote_executor={address}", "--remote_timeout=600", "--jobs=4")
    away = Workspace(tmp_path / "away", options=options).make()
    built = away.run("test", "//...")
    outputs = away.outputs() if built.status == 0 else {}
    away.shut_down()
    assert built.status == 0, built.printed
    # Bazel's own are files that it writes itself.
    found = re.search(r"processes: \d+ internal, (\d+) remote\.", built.printed)
    assert found, built.printed
    assert int(found[1]) >= sum(built.count().values()) > 80
    assert count.read_text().splitlines() == ["0"] * int(found[1])

    here = Workspace(tmp_path / "here").make()
    here.built("//...")
    own = here.outputs()
    here.shut_down()
    images = [name for name in own if name.endswith((".elf", ".bin", ".hex"))]
    assert len(images) > 4
    assert {name: outputs[name] for name in images} == {name: own[name] for name in images}
