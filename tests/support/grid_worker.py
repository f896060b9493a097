"""A worker for BuildGrid: takes actions one at a time and runs them, each in a folder of its own.

    python grid_worker.py ADDRESS FOLDER COUNT

in an environment that has BuildGrid, whose protocol and client these are. It writes a line for each action
into COUNT. There is no sandbox: actions find compilers and Python by their absolute paths.
"""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import grpc
from buildgrid._protos.build.bazel.remote.execution.v2.remote_execution_pb2 import (
    Action,
    ActionResult,
    Command,
)
from buildgrid._protos.google.devtools.remoteworkers.v1test2 import bots_pb2, bots_pb2_grpc, worker_pb2
from buildgrid.server.client.cas import download, upload

OK = 1
BATCH = 50 << 20


def main(address: str, folder: Path, count: Path) -> None:
    """Serve until the server is gone."""
    channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", BATCH)])
    grpc.channel_ready_future(channel).result(timeout=60)
    bots = bots_pb2_grpc.BotsStub(channel)
    worker = worker_pb2.Worker(devices=[worker_pb2.Device(handle="here")])
    session = bots_pb2.BotSession(bot_id=str(uuid.uuid4()), status=OK, worker=worker)
    session = bots.CreateBotSession(bots_pb2.CreateBotSessionRequest(parent="", bot_session=session))
    while True:
        for lease in session.leases:
            if lease.state == bots_pb2.PENDING:
                lease.state = bots_pb2.ACTIVE
            elif lease.state == bots_pb2.ACTIVE:
                result = run(channel, lease, folder / uuid.uuid4().hex)
                with count.open("a") as file:
                    file.write(f"{result.exit_code}\n")
                lease.result.Pack(result)
                lease.state = bots_pb2.COMPLETED
        request = bots_pb2.UpdateBotSessionRequest(name=session.name, bot_session=session)
        session = bots.UpdateBotSession(request, timeout=30)
        session.status = OK
        if not session.leases:
            time.sleep(0.05)


def run(channel: grpc.Channel, lease: bots_pb2.Lease, folder: Path) -> ActionResult:
    """Run the action of a lease in the new `folder`; its outputs go to the server."""
    action, command = Action(), Command()
    lease.payload.Unpack(action)
    with download(channel, instance="") as source:
        source.get_message(action.command_digest, command)
        source.download_directory(action.input_root_digest, str(folder))
    place = folder / command.working_directory
    outputs = [*command.output_files, *command.output_directories] or list(command.output_paths)
    for output in outputs:
        (place / output).parent.mkdir(parents=True, exist_ok=True)
    environment = {one.name: one.value for one in command.environment_variables}
    done = subprocess.run(command.arguments, cwd=place, env=environment, capture_output=True, check=False)
    result = ActionResult(exit_code=done.returncode, stdout_raw=done.stdout, stderr_raw=done.stderr)
    with upload(channel, instance="") as target:
        for output in outputs:
            path = place / output
            if path.is_dir():
                digest = target.upload_tree(str(path))
                result.output_directories.add(path=output).tree_digest.CopyFrom(digest)
            elif path.exists():
                file = result.output_files.add(path=output, is_executable=os.access(path, os.X_OK))
                file.digest.CopyFrom(target.upload_file(str(path)))
    shutil.rmtree(folder)
    return result


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
