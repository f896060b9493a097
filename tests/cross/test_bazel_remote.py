"""Bazel with a cache behind HTTP, which is nginx: a second checkout executes nothing."""

import shutil
import socket
import time

import pytest

from mcu_build import process
from tests.support.bazel import Workspace

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 1G;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            root {folder}/files;
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port):
    """Until somebody listens there."""
    for _ in range(900):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port}")


@pytest.fixture
def cache(tmp_path):
    """The address of an empty cache."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if nginx is None:
        pytest.fail("nginx is missing: scripts/test --all installs it")
    folder, port = tmp_path / "cache", free_port()
    (folder / "files").mkdir(parents=True)
    # Its workers run as another user.
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o755)
    (folder / "files").chmod(0o777)
    file = folder / "nginx.conf"
    user = "user root;" if process.run(["id", "-u"]).stdout.strip() == "0" else ""
    file.write_text(user + CONFIGURATION.format(folder=folder, port=port))
    with process.started([nginx, "-c", file, "-p", folder]):
        wait_for(port)
        yield f"http://127.0.0.1:{port}", folder


@pytest.mark.slow
def test_a_second_checkout_with_a_cache_behind_http_executes_nothing(cache, tmp_path):
    address, folder = cache
    options = (f"--remote_cache={address}", "--remote_upload_local_results=true")
    first = Workspace(tmp_path / "first", options=options).make()
    done = first.run("test", "//...")
    outputs = first.outputs()
    first.shut_down()
    assert done.status == 0, done.printed
    executed = sum(done.count().values())
    assert executed > 50 and not any(step.cached for step in done.steps)

    second = Workspace(tmp_path / "second", options=options).make()
    again = second.run("test", "//...")
    assert again.status == 0, again.printed
    assert sum(again.count().values()) == 0
    assert sum(step.cached for step in again.steps) == executed
    # Objects are fetched where somebody reads them: the images are.
    assert {name: digest for name, digest in second.outputs().items() if name.endswith(".elf")} == {
        name: digest for name, digest in outputs.items() if name.endswith(".elf")
    }
    second.shut_down()
    wanted = (folder / "access.log").read_text()
    assert "PUT /cas/" in wanted and '"GET /ac/' in wanted
