"""mcu_firmware: an image with its files, and targets to run, measure and flash it."""

load("//bazel/private:board.bzl", "BOARD", "BOARD_ATTRS", "CC", "board_of", "board_transition", "project_setting", "setting")
load("//bazel/private:compile.bzl", "compile_objects")
load("//bazel/private:link.bzl", "link")
load("//bazel/private:options.bzl", "FIRMWARE_BUDGETS", "SIGNING", "TEST_BUDGETS")
load("//bazel/private:providers.bzl", "McuFirmwareInfo", "McuModelInfo")
load("//bazel/private:verbs.bzl", "budget_words", "mcu_firmware_verb")

def _source(ctx, path):
    """A file of firmware/."""
    return [file for file in ctx.files._firmware if file.path.endswith("/firmware/" + path)][0]

def _of_model(ctx, model, path):
    """Objects of a main of ours around one model."""
    info = model[McuModelInfo]
    _, outputs = compile_objects(
        ctx,
        ctx.label.name + "." + info.name,
        [_source(ctx, path)],
        [model[CcInfo].compilation_context],
        local_defines = ["MCU_MODEL=" + info.name, "MCU_MODEL_HEADER=\"{}.h\"".format(info.name)] +
                        (["MCU_EXECUTORCH"] if info.runtime == "executorch" else []),
    )
    return outputs.objects

def _application(ctx, contexts):
    """Objects of main: the user's, or of the default application around the one model."""
    if not ctx.files.srcs:
        if len(ctx.attr.models) != 1:
            fail("{}: srcs: missing. Without them, an image runs one model; there are {}.".format(ctx.label, len(ctx.attr.models)))
        return _of_model(ctx, ctx.attr.models[0], "app/default_main.cpp")
    headers = [file for file in ctx.files.srcs if file.extension in ("h", "hpp", "inc")]
    _, outputs = compile_objects(
        ctx,
        ctx.label.name,
        [file for file in ctx.files.srcs if file not in headers],
        contexts,
        local_defines = ctx.attr.defines,
        own = False,
        private_hdrs = headers,
        user_compile_flags = ctx.attr.copts,
    )
    return outputs.objects

def _shared_arena(ctx):
    """The object of one arena for several models."""
    names = [model[McuModelInfo].name for model in ctx.attr.models]
    file = ctx.actions.declare_file(ctx.label.name + "_arena.cpp")
    ctx.actions.expand_template(
        output = file,
        substitutions = {
            "@image@": ctx.label.name,
            "@includes@": "\n".join(["#include \"{}.h\"".format(name) for name in names]),
            "@models@": "\n".join(["MCU_SHARES({})".format(name) for name in names]),
        },
        template = _source(ctx, "app/shared_arena.cpp.in"),
    )
    contexts = [model[CcInfo].compilation_context for model in ctx.attr.models]
    _, outputs = compile_objects(ctx, ctx.label.name + ".arena", [file], contexts, own = False)
    return outputs.objects

def _check_models(ctx, board):
    """The NPU of the models; a failure where they are not for one board, one NPU and the image's compiler options."""
    npus = {}
    for model in ctx.attr.models:
        made_for = model[McuModelInfo].board
        if made_for != board:
            fail("{}: board: {} was made for {}, not for {}".format(ctx.label, model.label, made_for, board))
        if (model[McuModelInfo].optimize == "size") != (setting(ctx.attr, "optimize") == "size"):
            fail(("{}: optimize: {} has other compiler options\n\n" +
                  "hint: Give the image and all of its models optimize = \"size\", or none.").format(ctx.label, model.label))
        if model[McuModelInfo].npu != "none":
            npus[model[McuModelInfo].npu] = None
    if len(npus) > 1:
        fail("{}: models: they were made for {}: a board has one NPU".format(ctx.label, " and ".join(npus)))
    return npus.keys()[0] if npus else "none"

def _slots(ctx, board):
    """The linker script, where it is not the board's, and the options of the model with program slots: an image has one region for them."""
    infos = [model[McuModelInfo] for model in ctx.attr.models if model[McuModelInfo].slots]
    if len(infos) > 1:
        fail("{}: models: {} and {} both have program slots\n\nhint: Link one of them without, or make two images.".format(
            ctx.label,
            infos[0].name,
            infos[1].name,
        ))
    options = [infos[0].slots] if infos else []
    if ctx.file.sign:
        if not board.slot_script:
            fail("{}: sign: {} describes no slot\n\nhint: Its file needs [mcuboot]: docs/boards.md.".format(ctx.label, board.config.board))
        return infos[0].slot_script if infos else board.slot_script, options
    return infos[0].linker_script if infos else None, options

def _signing(ctx, verb):
    """How the image is signed, in words of the command and files; nothing where it is not."""
    words = []
    for name in SIGNING:
        value = getattr(ctx.file, name) if name in ("sign", "encrypt") else getattr(ctx.attr, name)
        if not value:
            continue
        if not ctx.file.sign:
            fail("{}: {}: for signed images only\n\nhint: Add sign = \"key.pem\".".format(ctx.label, name))
        is_flag = type(value) == "bool"
        if not (is_flag and verb == "flash"):
            words += ["--" + name.replace("_", "-")] + ([] if is_flag else [value])
    return words

def _signed(ctx, board, image):
    """The signed files of the image, and of a model that is MCUboot's second image."""
    words = _signing(ctx, "sign")
    if not words:
        return []
    keys = [file for file in (ctx.file.sign, ctx.file.encrypt) if file]
    names = [".signed.bin"] + ([".update.bin"] if ctx.attr.pad or ctx.attr.confirm or ctx.file.encrypt else [])
    seconds = [model[McuModelInfo].second_image for model in ctx.attr.models if model[McuModelInfo].second_image]
    names += [".program.signed.bin" for _ in seconds]
    outputs = [ctx.actions.declare_file(ctx.label.name + name) for name in names]
    args = ctx.actions.args()
    args.add_all(["sign", "--board", board.file] + words)
    args.add_all(seconds, before_each = "--program")
    args.add(image.elf)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._command,
        inputs = [board.file, image.elf] + keys + seconds,
        mnemonic = "McuSign",
        outputs = outputs,
        progress_message = "Signing {}".format(ctx.label.name),
        tools = ctx.attr._command_files[DefaultInfo].files,
    )
    return outputs

def _budgets(ctx, names):
    """Budgets of the image: its own, else those that the project file has for its only model, else for all."""
    models = ctx.attr.models
    place = models[0][McuModelInfo].place if len(models) == 1 else None
    return {name: setting(ctx.attr, name, place) if name in FIRMWARE_BUDGETS else project_setting(name, place) for name in names}

def _check_size(ctx, board, image):
    """An empty file among those of the image, which is made where the image takes no more than it may."""
    words = budget_words(_budgets(ctx, FIRMWARE_BUDGETS))
    if not words:
        return []
    passed = ctx.actions.declare_file(ctx.label.name + ".fits")
    args = ctx.actions.args()
    args.add_all(["bazel", "size", "--board", board.file, "--output", passed] + words + [image.elf])
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._command,
        inputs = [board.file, image.elf, image.map],
        mnemonic = "McuSize",
        outputs = [passed],
        progress_message = "Measuring {}".format(ctx.label.name),
        tools = ctx.attr._command_files[DefaultInfo].files,
    )
    return [passed]

def _mcu_firmware_impl(ctx):
    board = board_of(ctx)
    npu = _check_models(ctx, board.config.board)
    libraries = [dep[CcInfo] for dep in ctx.attr.deps + ctx.attr.models]
    main = _application(ctx, [library.compilation_context for library in libraries])
    if ctx.attr.share_arena:
        main = main + _shared_arena(ctx)
    script, slots = _slots(ctx, board)
    image = link(ctx, ctx.label.name, main, ctx.files._platform_production, libraries, script, slots)
    tests = []
    for model in ctx.attr.models:
        info = model[McuModelInfo]
        harness = _of_model(ctx, model, "app/harness.cpp")
        name = "{}.{}.test".format(ctx.label.name, info.name)
        test = link(ctx, name, harness, ctx.files._platform_test, [model[CcInfo]], info.linker_script)
        tests.append(struct(model = info.name, elf = test.elf, program = info.program))
    return [
        DefaultInfo(files = depset(image.files + _check_size(ctx, board, image) + _signed(ctx, board, image))),
        McuFirmwareInfo(
            board = board.config.board,
            board_file = board.file,
            elf = image.elf,
            map = image.map,
            npu = npu,
            tests = tests,
            budgets = _budgets(ctx, TEST_BUDGETS),
            signing = _signing(ctx, "flash"),
        ),
        OutputGroupInfo(
            elf = depset([image.elf]),
            test_images = depset([test.elf for test in tests]),
        ),
    ]

_mcu_firmware = rule(
    implementation = _mcu_firmware_impl,
    attrs = dict(
        dict(dict(BOARD_ATTRS, **FIRMWARE_BUDGETS), **SIGNING),
        srcs = attr.label_list(allow_files = [".cpp", ".cc", ".c", ".S", ".h", ".hpp", ".inc"]),
        models = attr.label_list(mandatory = True, allow_empty = False, providers = [McuModelInfo, CcInfo]),
        deps = attr.label_list(providers = [CcInfo]),
        copts = attr.string_list(),
        defines = attr.string_list(),
        share_arena = attr.bool(doc = "One arena for all models"),
        _command = attr.label(default = "@mcu_boards//:mcu-build", allow_single_file = True, cfg = "exec", executable = True),
        _command_files = attr.label(default = "@mcu_boards//:command", cfg = "exec"),
        _firmware = attr.label(default = "@mcu_boards//:firmware"),
        _platform_production = attr.label(default = "@mcu_boards//:platform_production"),
        _platform_test = attr.label(default = "@mcu_boards//:platform_test"),
    ),
    cfg = board_transition,
    fragments = ["cpp"],
    provides = [McuFirmwareInfo],
    toolchains = [BOARD, CC],
)

def mcu_firmware(name, models, srcs = [], board = "", deps = [], copts = [], defines = [], optimize = "", toolchain = "", share_arena = False, **common):
    """An image: <name>.elf with .map and, except for the host, .hex and .bin.

    A .bin holds what is loaded into the memory of the vectors; for each other memory there is a
    <name>-<memory>.bin. `bazel run` on <name>.run, <name>.size and <name>.flash does what the verbs do.

    Args:
      name: of the image.
      models: mcu_model targets.
      srcs: sources of the application; without them, the default application runs the one model.
      board: a board's name; without it, the platform of the build.
      deps: cc_library targets.
      copts: options for srcs.
      defines: for srcs.
      optimize: what its models have: size, with compiler options of its own, is for all of an image or for none.
      toolchain: arm-clang or arm-gcc, as its models; clang where it is installed.
      share_arena: one arena of the largest's size for all models; a model's outputs are lost when another is
        given its inputs.
      **common: budgets, max_flash and max_ram, beyond which the build fails; how the image is signed for MCUboot's
        slot, sign = "key.pem", version = "1.2.3" and so on, which makes <name>.signed.bin and <name>.update.bin;
        and attributes that every rule has.
    """
    _mcu_firmware(
        name = name,
        board = board,
        copts = copts,
        defines = defines,
        deps = deps,
        models = models,
        optimize = optimize,
        share_arena = share_arena,
        srcs = srcs,
        toolchain = toolchain,
        **common
    )
    for verb in ("run", "size", "flash"):
        mcu_firmware_verb(name = name + "." + verb, firmware = ":" + name, tags = ["manual"], verb = verb)
