"""WORKSPACE: load this, and call mcu_boards().

    load("@mcu_build//bazel:repositories.bzl", "mcu_boards")

    mcu_boards()

    register_toolchains("@mcu_boards//:all")
"""

_BUILD = """\
load("@mcu_build//bazel/private:boards.bzl", "declare_boards")
load(":boards_config.bzl", "BOARDS", "CMSIS_NN", "EXECUTORCH")

package(default_visibility = ["//visibility:public"])

exports_files(["mcu-build"] + glob(["boards/*.toml", "own/*.toml"], allow_empty = True))

# All that the command runs: an action that calls it depends on every line of it.
filegroup(
    name = "command",
    srcs = ["mcu-build", "versions.txt"] + glob(
        ["python/mcu_build/**", "boards/**", "own/**"],
        exclude = ["**/__pycache__/**", "python/mcu_build/data/**"],
        allow_empty = True,
    ),
)

filegroup(
    name = "firmware",
    srcs = glob(["firmware/**"]),
)

declare_boards(BOARDS, EXECUTORCH, CMSIS_NN)
"""

# One thread: sums in another order would give other last bits on a machine with other cores.
_COMMAND = """\
#!/bin/sh
# mcu-build as actions call it: with the code of this repository, in a home that is gone afterwards.
root=$(cd "$(dirname "$0")" && pwd)
place="${{TEST_TMPDIR:-$PWD}}"
# `bazel run` is no action.
[ -z "$BUILD_WORKSPACE_DIRECTORY" ] || place="${{TMPDIR:-/tmp}}"
work=$(mktemp -d "$place/mcu.XXXXXX")
trap 'rm -rf "$work"' EXIT
export HOME="$work" TMPDIR="$work" PYTHONPATH="$root/python" PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
export PYTHONHASHSEED=0 OMP_NUM_THREADS=1 PATH="{bin}:${{PATH:-/usr/local/bin:/usr/bin:/bin}}"
"{python}" -m mcu_build "$@"
"""

def _python(repository_ctx):
    """The interpreter that has mcu_build: $MCU_BUILD_PYTHON, or that of the command on PATH."""
    given = repository_ctx.os.environ.get("MCU_BUILD_PYTHON", "")
    if given:
        return given
    command = repository_ctx.which("mcu-build")
    if not command:
        fail("mcu-build: not found on PATH.\n" +
             "Install it (python3 -m pip install FOLDER_OF_MCU_BUILD), or set MCU_BUILD_PYTHON to the interpreter that has it.")
    return repository_ctx.read(command).split("\n")[0].replace("#!", "").strip()

def _link_executorch(repository_ctx, board, described):
    """Headers and library of an install of ExecuTorch, in executorch/<board>."""
    folder = "executorch/" + board + "/"
    repository_ctx.symlink(described["prefix"] + "/include", folder + "include")
    repository_ctx.symlink(described["library"], folder + described["library"].split("/")[-1])

def _mcu_boards_repository_impl(repository_ctx):
    python = _python(repository_ctx)
    own = [repository_ctx.path(board) for board in repository_ctx.attr.boards]
    installs = ["--executorch=" + board + "=" + folder for board, folder in repository_ctx.attr.executorch.items()]
    installs += ["--cmsis-nn=" + board + "=" + folder for board, folder in repository_ctx.attr.cmsis_nn.items()]
    project = repository_ctx.attr.project
    named = ["--project={}".format(repository_ctx.path(project)), "--package=" + project.package] if project else []
    asked = repository_ctx.execute([python, "-m", "mcu_build", "bazel", "describe"] + installs + named + own)
    if asked.return_code != 0:
        fail("mcu-build bazel describe failed (status {}).\n{}".format(asked.return_code, asked.stderr))
    described = json.decode(asked.stdout)
    repository_ctx.symlink(described["package"], "python/mcu_build")
    repository_ctx.symlink(described["data"] + "/boards", "boards")
    repository_ctx.symlink(described["data"] + "/firmware", "firmware")
    for board in own:
        repository_ctx.symlink(board, "own/" + board.basename)
    for name, text in described["linker_scripts"].items():
        repository_ctx.file(name, text, executable = False)
    repository_ctx.file("versions.txt", described["versions"], executable = False)
    executorch = {board: one for board, one in described["executorch"].items() if one}
    for board, one in executorch.items():
        _link_executorch(repository_ctx, board, one)
    for board, one in described["cmsis_nn"].items():
        repository_ctx.symlink(one["include"], "cmsis_nn/" + board + "/include")
        repository_ctx.symlink(one["archive"], "cmsis_nn/" + board + "/libcmsis-nn.a")
    config = "BOARDS = {}\nEXECUTORCH = {}\nCMSIS_NN = {}\nPROJECT = {}\n".format(repr(described["boards"]), repr(executorch), repr(described["cmsis_nn"].keys()), repr(described["project"]))
    repository_ctx.file("boards_config.bzl", config, executable = False)
    interpreter = repository_ctx.path(described["python"])
    repository_ctx.file("mcu-build", _COMMAND.format(python = interpreter, bin = interpreter.dirname))
    repository_ctx.file("BUILD.bazel", _BUILD, executable = False)

# What a WORKSPACE and a MODULE.bazel say alike.
BOARDS_ATTRS = {
    "boards": attr.label_list(doc = "Board files of the project's own"),
    "cmsis_nn": attr.string_dict(doc = "Builds of CMSIS-NN by the board that they are for"),
    "executorch": attr.string_dict(doc = "Installs of ExecuTorch by the board that they are for"),
    "project": attr.label(doc = "mcu-build.toml, or pyproject.toml"),
}

mcu_boards_repository = repository_rule(
    implementation = _mcu_boards_repository_impl,
    doc = "The boards as platforms with their toolchains, the firmware's sources, and the command.",
    attrs = BOARDS_ATTRS,
    environ = ["MCU_BUILD_PYTHON", "PATH", "PYTHONPATH"],
    configure = True,
    local = True,
)

def mcu_boards(boards = [], executorch = {}, project = None, cmsis_nn = {}):
    """Make the repository @mcu_boards.

    Args:
      boards: .toml files of the project's own.
      executorch: for a board the absolute path of an install of ExecuTorch for its core; the host has the wheel's.
      project: the project file, for options that rules leave out.
      cmsis_nn: for a board the absolute path of a CMSIS-NN for its core, for models with kernels = "cmsis-nn".
    """
    mcu_boards_repository(
        name = "mcu_boards",
        boards = boards,
        cmsis_nn = cmsis_nn,
        executorch = executorch,
        project = project,
    )
