"""What rules know of the board that they build for."""

load("@mcu_boards//:facts.bzl", "BOARDS")

BOARD = "@mcu_build//bazel:board_toolchain_type"
CC = "@bazel_tools//tools/cpp:toolchain_type"

# Where sources of ours lie for the compiler; they appear under "firmware" in an image.
FIRMWARE = "external/mcu_boards/firmware"

def _executorch(ctx):
    """ExecuTorch for the board: context and linking_context; None where there is none."""
    if not ctx.attr.executorch:
        return None
    told = struct(**json.decode(ctx.attr.executorch))
    root = "external/mcu_boards/executorch/" + json.decode(ctx.attr.facts)["board"] + "/"
    name = told.library.rpartition("/")[2]
    library = [file for file in ctx.files.executorch_files if file.path == root + name]
    linked = cc_common.create_linker_input(
        owner = ctx.label,
        additional_inputs = depset(library),
        user_link_flags = depset([root + name] + told.link_options),
    )
    context = cc_common.create_compilation_context(
        defines = depset(told.defines),
        headers = depset([file for file in ctx.files.executorch_files if file not in library]),
        system_includes = depset([root + include for include in told.includes]),
    )
    return struct(context = context, linking_context = cc_common.create_linking_context(linker_inputs = depset([linked])))

def _mcu_board_impl(ctx):
    board = struct(
        executorch = _executorch(ctx),
        facts = struct(**json.decode(ctx.attr.facts)),
        file = ctx.file.file,
        linker_script = ctx.file.linker_script,
    )
    return [platform_common.ToolchainInfo(board = board)]

mcu_board = rule(
    implementation = _mcu_board_impl,
    attrs = {
        "executorch": attr.string(doc = "what `mcu-build bazel describe` tells of ExecuTorch for it, as JSON"),
        "executorch_files": attr.label(doc = "Headers and library of ExecuTorch"),
        "facts": attr.string(doc = "codegen/facts.py of a board and a compiler, as JSON"),
        "file": attr.label(allow_single_file = [".toml"]),
        "linker_script": attr.label(allow_single_file = [".ld"]),
    },
)

def board_of(ctx):
    """The board that `ctx` builds for: executorch, facts, file, linker_script. The rule's toolchains hold BOARD."""
    return ctx.toolchains[BOARD].board

def _check_board(given):
    if given not in [one["name"] for board in BOARDS for one in board["platforms"] if one["optimize"] == "speed"]:
        names = ", ".join([board["name"] for board in BOARDS])
        fail("--board: no board is called '{}'\n\nhint: There are: {}. `mcu-build boards` lists them.".format(given, names))

def _optimized(platform, optimize):
    """A platform of ours with the compiler options for `optimize`. Others say by their constraint values."""
    if "mcu_boards//:" not in platform:
        return platform
    plain = platform[:-len("-size")] if platform.endswith("-size") else platform
    return plain + ("-size" if optimize == "size" else "")

def _board_transition_impl(settings, attr):
    given = str(attr.board)
    if given:
        _check_board(given)
    chosen = [Label("@mcu_boards//:" + given)] if given else settings["//command_line_option:platforms"]
    return {"//command_line_option:platforms": [_optimized(str(platform), attr.optimize) for platform in chosen]}

# A target with `board` is built for it; without, for the platform of the build. `size` has compiler options of its own.
board_transition = transition(
    implementation = _board_transition_impl,
    inputs = ["//command_line_option:platforms"],
    outputs = ["//command_line_option:platforms"],
)

BOARD_ATTRS = {
    "board": attr.string(doc = "A board's name, or <board>-arm-gcc; else the platform of the build"),
    "optimize": attr.string(
        default = "speed",
        doc = "What to give priority to; size for all models of an image or for none",
        values = ["speed", "size", "ram"],
    ),
    "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
}

def _mcu_board_headers_impl(ctx):
    headers = [file for file in ctx.files._firmware if file.extension == "h"]
    context = cc_common.create_compilation_context(
        headers = depset(headers),
        includes = depset([FIRMWARE + "/include"]),
        defines = depset(board_of(ctx).facts.defines),
    )
    return [CcInfo(compilation_context = context)]

mcu_board_headers = rule(
    implementation = _mcu_board_headers_impl,
    doc = "Public headers of the firmware, with the defines of the board.",
    attrs = {"_firmware": attr.label(default = "@mcu_boards//:firmware")},
    toolchains = [BOARD],
)
