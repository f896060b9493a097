"""mcu_model: a model as a C++ library."""

load("//bazel/private:board.bzl", "BOARD", "BOARD_ATTRS", "CC", "board_of", "board_transition")
load("//bazel/private:compile.bzl", "archive", "compile_objects")
load("//bazel/private:providers.bzl", "McuModelInfo")

# What a model file may import and read.
_SOURCES = [".py", ".pt2", ".pte"]

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

def _generate(ctx, board, npu, header, sources, program):
    model = _model_file(ctx)
    declared = depset(
        [model] + ctx.files.data,
        transitive = [_sources_of(ctx, dep) for dep in ctx.attr.deps],
    )
    args = ctx.actions.args()
    args.add_all(["bazel", "generate"])
    args.add("--board", board.file)
    args.add("--name", ctx.label.name)
    args.add("--io", ctx.attr.io)
    args.add("--npu", npu)
    args.add("--optimize", ctx.attr.optimize)
    args.add("--output", header.dirname)
    args.add("--program", program.path)
    args.add_all(declared, map_each = _staged, before_each = "--file")
    args.add(_place(model))
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._command,
        inputs = depset([board.file], transitive = [declared]),
        mnemonic = "McuGenerate",
        outputs = [header, program] + sources,
        progress_message = "Generating {} for {}".format(ctx.label.name, board.facts.board),
        tools = ctx.attr._command_files[DefaultInfo].files,
    )

def _mcu_model_impl(ctx):
    _check_name(ctx)
    if ctx.attr.runtime != "static":
        fail(("{}: runtime: ExecuTorch's own runtime is not linked by Bazel\n\nhint: Leave it out, or use " +
              "`mcu-build build --runtime executorch` or CMake's mcu_add_model.").format(ctx.label))
    board = board_of(ctx)
    name = ctx.label.name
    folder = name + ".mcu/"
    header = ctx.actions.declare_file(folder + name + ".h")
    sources = [ctx.actions.declare_file(folder + name + part + ".cpp") for part in ("", "_constants", "_arena")]
    program = ctx.actions.declare_directory(name + ".program")
    npu = ctx.attr.npu or board.facts.default_npu
    _generate(ctx, board, npu, header, sources, program)

    compiled, objects = compile_objects(
        ctx,
        name,
        sources,
        [ctx.attr._headers[CcInfo].compilation_context],
        includes = [header.dirname],
        public_hdrs = [header],
    )
    library = CcInfo(compilation_context = compiled, linking_context = archive(ctx, "model_" + name, objects))
    return [
        cc_common.merge_cc_infos(direct_cc_infos = [library], cc_infos = [ctx.attr._kernels[CcInfo]]),
        DefaultInfo(files = depset([header] + sources)),
        McuModelInfo(
            name = name,
            board = board.facts.board,
            board_file = board.file,
            npu = npu,
            optimize = ctx.attr.optimize,
            program = program,
        ),
        OutputGroupInfo(program = depset([program])),
    ]

mcu_model = rule(
    implementation = _mcu_model_impl,
    doc = "A model as a library with one header, <name>.h. Link it with mcu_firmware, or from a cc_library of yours.",
    attrs = dict(
        BOARD_ATTRS,
        model = attr.label(allow_single_file = _SOURCES, doc = "A model.py, .pt2 or .pte"),
        pte = attr.label(allow_single_file = [".pte"], doc = "Instead of model: an ExecuTorch program"),
        npu = attr.string(doc = "ethos-u55-128 and so on, or none; else the board's default"),
        io = attr.string(default = "float", values = ["float", "int8"], doc = "Type of inputs and outputs"),
        runtime = attr.string(default = "static", values = ["executorch", "static"], doc = "How it runs: static, compiled to calls"),
        data = attr.label_list(allow_files = True, doc = "Files that the model file reads"),
        deps = attr.label_list(allow_files = True, doc = "Python files or py_library targets that it imports"),
        _command = attr.label(default = "@mcu_boards//:mcu-build", allow_single_file = True, cfg = "exec", executable = True),
        _command_files = attr.label(default = "@mcu_boards//:command", cfg = "exec"),
        _headers = attr.label(default = "@mcu_boards//:headers"),
        _kernels = attr.label(default = "@mcu_boards//:kernels"),
    ),
    cfg = board_transition,
    fragments = ["cpp"],
    provides = [CcInfo, McuModelInfo],
    toolchains = [BOARD, CC],
)
