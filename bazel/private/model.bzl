"""mcu_model: a model as a C++ library."""

load("//bazel/private:board.bzl", "BOARD", "BOARD_ATTRS", "CC", "board_of", "board_transition", "place_of", "setting")
load("//bazel/private:compile.bzl", "archive", "compile_objects")
load("//bazel/private:options.bzl", "OPTION_ATTRS")
load("//bazel/private:providers.bzl", "McuModelInfo")

# What a model file may import and read.
_SOURCES = [".py", ".pt2", ".pte"]

_HEADERS = ["h", "hpp", "inc"]

def _place(file):
    """Where a file lies for the model: as if sources and generated files were in one workspace."""
    path = file.short_path
    return "external/" + path[3:] if path.startswith("../") else path

def _staged(file):
    return file.path + "=" + _place(file)

def _model_file(ctx):
    given = [file for file in (ctx.file.model, ctx.file.pte) if file]
    if len(given) != 1:
        fail("{}: model, pte: give one of them".format(ctx.label))
    return given[0]

def _sources_of(ctx, dep):
    """The Python files of a dependency: those of a py_library, which may have none itself, with all that it depends on."""
    if PyInfo in dep:
        return dep[PyInfo].transitive_sources
    files = dep[DefaultInfo].files
    others = [file.short_path for file in files.to_list() if file.extension != "py"]
    if others:
        fail("{}: deps: {}: not Python\n\nhint: Files that the model reads are `data`.".format(ctx.label, ", ".join(others)))
    return files

def _check_name(ctx):
    if not ctx.label.name.replace("_", "a").isalnum() or ctx.label.name[0].isdigit():
        fail("{}: the name becomes a C++ namespace: use letters, digits and underscores".format(ctx.label))

def _kernel_files(ctx):
    return [file for file in ctx.files.kernel_sources if file.extension not in _HEADERS]

def _user_kernels(ctx):
    """The user's functions for custom operators, with the board's options and without our warnings."""
    files = _kernel_files(ctx)
    _, objects = compile_objects(
        ctx,
        ctx.label.name + ".kernels",
        files,
        [ctx.attr._headers[CcInfo].compilation_context],
        own = False,
        private_hdrs = [file for file in ctx.files.kernel_sources if file not in files],
    )
    return CcInfo(linking_context = archive(ctx, "kernels_of_" + ctx.label.name, objects))

def _setting(ctx, name):
    """A build option of the model: its own, else that of the project file."""
    return setting(ctx.attr, name, place_of((ctx.attr.model or ctx.attr.pte).label))

def _add_settings(ctx, args):
    """What the project file says of options that the model leaves out."""
    for name in OPTION_ATTRS:
        value = _setting(ctx, name)
        if value != getattr(ctx.attr, name) and name not in ("board", "npu", "toolchain"):
            text = " ".join(value) if type(value) == "list" else str(value)
            args.add_all(["--setting", name + "=" + text])

def _add_options(ctx, args, board, npu):
    """The build options that are set, in words of the command."""
    _add_settings(ctx, args)
    if board.config.toolchain != "host":
        args.add("--toolchain", board.config.toolchain)
    args.add("--npu", npu)
    for name in OPTION_ATTRS:
        flag = "--" + name.replace("_", "-")
        value = getattr(ctx.attr, name)
        if name in ("board", "npu", "toolchain"):
            continue
        elif name == "kernel_sources":
            # Only which there are: they are no inputs, and the model stays as it is where they are touched.
            args.add_all(_kernel_files(ctx), map_each = _place, before_each = flag)
        elif name == "data":
            args.add_all([file for file in ctx.files.data if file.extension == "ptd"], map_each = _place, before_each = flag)
        elif hasattr(ctx.files, name):
            args.add_all(getattr(ctx.files, name), map_each = _place, before_each = flag)
        elif type(value) == "list":
            args.add_all(value, before_each = flag)
        elif value not in ("", -1):
            args.add(flag, str(value))

def _declared(ctx, model):
    """All that the model may read."""
    listed = [name for name in OPTION_ATTRS if hasattr(ctx.files, name) and name != "kernel_sources"]
    files = [file for name in listed for file in getattr(ctx.files, name)]
    return depset([model] + files, transitive = [_sources_of(ctx, dep) for dep in ctx.attr.deps])

def _generate(ctx, board, npu, header, program, outputs):
    model = _model_file(ctx)
    declared = _declared(ctx, model)
    args = ctx.actions.args()
    args.add_all(["bazel", "generate"])
    args.add("--board", board.file)
    args.add("--name", ctx.label.name)
    _add_options(ctx, args, board, npu)
    library = board.cmsis_nn if _setting(ctx, "kernels") == "cmsis-nn" else None
    if library:
        args.add("--cmsis-nn", library.folder)
    args.add("--output", header.dirname)
    args.add("--program", program.path)
    args.add_all(declared, map_each = _staged, before_each = "--file")
    args.add(_place(model))
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._command,
        inputs = depset([board.file] + (library.files if library else []), transitive = [declared]),
        mnemonic = "McuGenerate",
        outputs = [header, program] + outputs,
        progress_message = "Generating {} for {}".format(ctx.label.name, board.config.board),
        tools = ctx.attr._command_files[DefaultInfo].files,
    )

def _mcu_model_impl(ctx):
    _check_name(ctx)
    board = board_of(ctx)
    runtime = _setting(ctx, "runtime") or "static"
    under_executorch = runtime == "executorch"
    if under_executorch and not board.executorch:
        fail(("{}: runtime: there is no ExecuTorch for {}\n\nhint: In WORKSPACE, mcu_boards(executorch = " +
              "{{\"{}\": \"<folder>\"}}) names an install of it that was built for its core.").format(
            ctx.label,
            board.config.board,
            board.config.board,
        ))
    by_cmsis_nn = _setting(ctx, "kernels") == "cmsis-nn"
    if by_cmsis_nn and not board.cmsis_nn:
        fail(("{}: kernels: there is no CMSIS-NN for {}\n\nhint: In WORKSPACE, mcu_boards(cmsis_nn = " +
              "{{\"{}\": \"<folder>\"}}) names a build of it for its core.").format(
            ctx.label,
            board.config.board,
            board.config.board,
        ))
    if _setting(ctx, "kernels") == "upstream" and [file for file in ctx.files.data if file.extension == "ptd"]:
        fail(("{}: data: weights apart from a program that ExecuTorch's own kernels run are not for Bazel\n\n" +
              "hint: Leave out kernels = \"upstream\", keep the weights in the .pte, or build with CMake.").format(ctx.label))
    name = ctx.label.name
    folder = name + ".mcu/"
    header = ctx.actions.declare_file(folder + name + ".h")
    parts = "_program" if under_executorch else "_constants"
    sources = [ctx.actions.declare_file(folder + name + part + ".cpp") for part in ("", parts, "_arena")]
    program = ctx.actions.declare_directory(name + ".program")
    npu = _setting(ctx, "npu") or board.config.default_npu
    slots = []
    if runtime != "static" and _setting(ctx, "program_slot") and board.linker_script:
        files = ("memory.ld", "slots.txt", "memory-mcuboot.ld", "program.slot")
        slots = [ctx.actions.declare_file(folder + file) for file in files]
    _generate(ctx, board, npu, header, program, sources + slots)

    _, objects = compile_objects(
        ctx,
        name,
        sources,
        [ctx.attr._headers[CcInfo].compilation_context] + ([board.executorch.context] if under_executorch else []),
        includes = [header.dirname],
        public_hdrs = [header],
    )

    # Of the runtime's headers the application sees nothing.
    public = cc_common.create_compilation_context(headers = depset([header]), includes = depset([header.dirname]))
    library = CcInfo(compilation_context = public, linking_context = archive(ctx, "model_" + name, objects))
    others = [ctx.attr._headers[CcInfo]]
    others += [_user_kernels(ctx)] if ctx.files.kernel_sources else []
    others += [ctx.attr._cmsis_nn[CcInfo]] if by_cmsis_nn else []
    others.append((ctx.attr._executorch if under_executorch else ctx.attr._kernels)[CcInfo])
    return [
        cc_common.merge_cc_infos(direct_cc_infos = [library], cc_infos = others),
        DefaultInfo(files = depset([header] + sources)),
        McuModelInfo(
            name = name,
            board = board.config.board,
            board_file = board.file,
            npu = npu,
            optimize = _setting(ctx, "optimize"),
            place = place_of((ctx.attr.model or ctx.attr.pte).label),
            program = program,
            runtime = runtime,
            linker_script = slots[0] if slots else None,
            slots = slots[1] if slots else None,
            slot_script = slots[2] if slots else None,
            second_image = slots[3] if slots and _setting(ctx, "program_slot") == "mcuboot" else None,
        ),
        OutputGroupInfo(program = depset([program])),
    ]

mcu_model = rule(
    implementation = _mcu_model_impl,
    doc = "A model as a library with one header, <name>.h. Link it with mcu_firmware, or from a cc_library of yours.",
    attrs = dict(
        dict(OPTION_ATTRS, **BOARD_ATTRS),
        model = attr.label(allow_single_file = _SOURCES, doc = "A model.py, .pt2 or .pte"),
        pte = attr.label(allow_single_file = [".pte"], doc = "Instead of model: an ExecuTorch program"),
        # With their headers.
        kernel_sources = attr.label_list(
            allow_files = [".cpp", ".cc", ".cxx"] + ["." + name for name in _HEADERS],
            doc = "Custom operators in C++, with their headers",
        ),
        # An action reads nothing that is not declared.
        data = attr.label_list(allow_files = True, doc = "Files that the model reads: weights of a .pte (.ptd), and all that a model.py opens"),
        deps = attr.label_list(allow_files = True, doc = "Python files or py_library targets that it imports"),
        _cmsis_nn = attr.label(default = "@mcu_boards//:cmsis_nn"),
        _command = attr.label(default = "@mcu_boards//:mcu-build", allow_single_file = True, cfg = "exec", executable = True),
        _command_files = attr.label(default = "@mcu_boards//:command", cfg = "exec"),
        _executorch = attr.label(default = "@mcu_boards//:executorch"),
        _headers = attr.label(default = "@mcu_boards//:headers"),
        _kernels = attr.label(default = "@mcu_boards//:kernels"),
    ),
    cfg = board_transition,
    fragments = ["cpp"],
    provides = [CcInfo, McuModelInfo],
    toolchains = [BOARD, CC],
)
