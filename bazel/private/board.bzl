"""What rules know of the board that they build for."""

load("@mcu_boards//:boards_config.bzl", "BOARDS", "PROJECT")
load("//bazel/private:options.bzl", "OPTION_ATTRS")

BOARD = "@mcu_build//bazel:board_toolchain_type"
CC = "@bazel_tools//tools/cpp:toolchain_type"

# Where sources of ours lie for the compiler; they appear under "firmware" in an image.
FIRMWARE = "external/mcu_boards/firmware"

def _executorch(ctx):
    """ExecuTorch for the board: context and linking_context; None where there is none."""
    if not ctx.attr.executorch:
        return None
    config = struct(**json.decode(ctx.attr.executorch))
    root = "external/mcu_boards/executorch/" + json.decode(ctx.attr.config)["board"] + "/"
    name = config.library.rpartition("/")[2]
    library = [file for file in ctx.files.executorch_files if file.path == root + name]
    linked = cc_common.create_linker_input(
        owner = ctx.label,
        additional_inputs = depset(library),
        user_link_flags = depset([root + name] + config.link_options),
    )
    context = cc_common.create_compilation_context(
        defines = depset(config.defines),
        headers = depset([file for file in ctx.files.executorch_files if file not in library]),
        system_includes = depset([root + include for include in config.includes]),
    )
    return struct(context = context, linking_context = cc_common.create_linking_context(linker_inputs = depset([linked])))

def _cmsis_nn(ctx):
    """CMSIS-NN for the board: folder, files, context and linking_context; None where there is none."""
    if not ctx.attr.cmsis_nn:
        return None
    folder = "external/mcu_boards/cmsis_nn/" + json.decode(ctx.attr.config)["board"]
    library = [file for file in ctx.files.cmsis_nn if file.extension == "a"]
    linked = cc_common.create_linker_input(
        owner = ctx.label,
        additional_inputs = depset(library),
        user_link_flags = depset([file.path for file in library]),
    )
    context = cc_common.create_compilation_context(
        headers = depset([file for file in ctx.files.cmsis_nn if file not in library]),
        # As system headers GCC would name them by the places that they are linked from.
        includes = depset([folder + "/include"]),
    )
    return struct(
        context = context,
        files = ctx.files.cmsis_nn,
        folder = folder,
        linking_context = cc_common.create_linking_context(linker_inputs = depset([linked])),
    )

def _mcu_board_impl(ctx):
    board = struct(
        cmsis_nn = _cmsis_nn(ctx),
        executorch = _executorch(ctx),
        config = struct(**json.decode(ctx.attr.config)),
        file = ctx.file.file,
        linker_script = ctx.file.linker_script,
        slot_script = ctx.file.slot_script,
    )
    return [platform_common.ToolchainInfo(board = board)]

mcu_board = rule(
    implementation = _mcu_board_impl,
    attrs = {
        "cmsis_nn": attr.label(doc = "Headers and library of CMSIS-NN"),
        "executorch": attr.string(doc = "what `mcu-build bazel describe` tells of ExecuTorch for it, as JSON"),
        "executorch_files": attr.label(doc = "Headers and library of ExecuTorch"),
        "config": attr.string(doc = "codegen/toolchain_config.py of a board and a compiler, as JSON"),
        "file": attr.label(allow_single_file = [".toml"]),
        "linker_script": attr.label(allow_single_file = [".ld"]),
        "slot_script": attr.label(allow_single_file = [".ld"], doc = "For an image in MCUboot's slot"),
    },
)

def board_of(ctx):
    """The board that `ctx` builds for: cmsis_nn, executorch, config, file, linker_script, slot_script. The rule's toolchains hold BOARD."""
    return ctx.toolchains[BOARD].board

def _compilers(board, toolchain):
    """The platforms of a board for speed: with its own compiler first, or those with `toolchain`. The host has one."""
    plain = [one for one in board["platforms"] if one["optimize"] == "speed"]
    return [one for one in plain if not toolchain or one["compiler"] in (toolchain, "native")]

def _platform(given, toolchain):
    """The name of the platform for a board and a compiler; its own where none is given."""
    found = [board for board in BOARDS if board["name"] == given]
    if not found:
        names = ", ".join([board["name"] for board in BOARDS])
        fail("--board: no board is called '{}'\n\nhint: There are: {}. `mcu-build boards` lists them; one of your own is a file (docs/boards.md).".format(given, names))
    fitting = _compilers(found[0], toolchain)
    if not fitting:
        fail("--toolchain: {} is not installed for {}\n\nhint: `mcu-build doctor` lists what is missing.".format(toolchain, given))
    return fitting[0]["name"]

def _optimized(platform, optimize):
    """A platform of ours with the compiler options for `optimize`. Others say by their constraint values."""
    if "mcu_boards//:" not in platform:
        return platform
    plain = platform[:-len("-size")] if platform.endswith("-size") else platform
    return plain + ("-size" if optimize == "size" else "")

def _with_toolchain(platform, toolchain):
    """A platform of ours with another compiler."""
    if not toolchain or "mcu_boards//:" not in platform:
        return platform
    name = platform.rpartition(":")[2]
    board = [board for board in BOARDS if name in [one["name"] for one in board["platforms"]]][0]
    return str(Label("@mcu_boards//:" + _platform(board["name"], toolchain)))

def place_of(label):
    """Where a file of the workspace lies, as the project file names it."""
    return (label.package + "/" if label.package else "") + label.name

def setting(attr, name, model = None):
    """A build option of a target: its own, else that of the project file, which may have one for the file `model`."""
    own = getattr(attr, name)
    return own if own not in ("", [], -1) else project_setting(name, model, own)

def project_setting(name, model = None, default = ""):
    """What the project file says of an option, for the file `model` or for all."""
    project = PROJECT.get(model, PROJECT.get("", {})) if model else PROJECT.get("", {})
    return project.get(name, default)

def _model_of(attr):
    label = getattr(attr, "model", None) or getattr(attr, "pte", None)
    return place_of(label) if type(label) == "Label" else None

def _board_transition_impl(settings, attr):
    model = _model_of(attr)
    toolchain, platforms = setting(attr, "toolchain", model), [str(one) for one in settings["//command_line_option:platforms"]]
    ours = [one for one in platforms if "mcu_boards//:" in one]

    # A platform of ours that the build names goes before the project file.
    board = attr.board or ("" if ours else setting(attr, "board", model))
    if board:
        chosen = [str(Label("@mcu_boards//:" + _platform(board, toolchain)))]
    else:
        chosen = [_with_toolchain(one, toolchain) for one in platforms]
    return {"//command_line_option:platforms": [_optimized(one, setting(attr, "optimize", model)) for one in chosen]}

# A target with `board` is built for it; without, for the platform of the build. `size` has compiler options of its own.
board_transition = transition(
    implementation = _board_transition_impl,
    inputs = ["//command_line_option:platforms"],
    outputs = ["//command_line_option:platforms"],
)

# Of the build options those that decide which platform a target is built for.
BOARD_ATTRS = {
    "board": OPTION_ATTRS["board"],
    "optimize": OPTION_ATTRS["optimize"],
    "toolchain": OPTION_ATTRS["toolchain"],
    "_allowlist_function_transition": attr.label(default = "@bazel_tools//tools/allowlists/function_transition_allowlist"),
}

def _mcu_board_headers_impl(ctx):
    headers = [file for file in ctx.files._firmware if file.extension == "h"]
    context = cc_common.create_compilation_context(
        headers = depset(headers),
        includes = depset([FIRMWARE + "/include"]),
        defines = depset(board_of(ctx).config.defines),
    )
    return [CcInfo(compilation_context = context)]

mcu_board_headers = rule(
    implementation = _mcu_board_headers_impl,
    doc = "Public headers of the firmware, with the defines of the board.",
    attrs = {"_firmware": attr.label(default = "@mcu_boards//:firmware")},
    toolchains = [BOARD],
)
