"""The link of an image, and the files beside it: the same commands as in cmake/McuBuildImages.cmake."""

load("//bazel/private:board.bzl", "board_of")

def link(ctx, name, main, platform, libraries, script = None, options = []):
    """Link objects and libraries.

    Args:
      ctx: the rule's.
      name: of the image.
      main: objects of the application.
      platform: objects of the platform.
      libraries: CcInfo of models and other libraries.
      script: the linker script, instead of the board's.
      options: files with further options.

    Returns:
      A struct: elf, map, and files, which are all of them.
    """
    board = board_of(ctx)
    config = board.config
    elf = ctx.actions.declare_file(name + ".elf")
    map_file = ctx.actions.declare_file(name + ".map")
    context = cc_common.merge_cc_infos(cc_infos = libraries).linking_context
    archives, flags, others = _inputs(context)
    # In CMake's order: then images are the same.
    objects = platform + main
    script = [script or board.linker_script] if board.linker_script else []

    args = ctx.actions.args()
    args.add_all(config.link_options)
    args.add_all(options, format_each = "@%s")
    args.add(map_file, format = "-Wl,-Map=%s")
    args.add_all(script, before_each = "-T")
    args.add_all(objects)
    args.add("-o", elf)
    args.add_all(archives, map_each = _library)
    args.add_all(flags)
    args.add_all(config.libraries)
    ctx.actions.run(
        arguments = [args],
        env = {"MCU_COMPILER": config.compiler, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        executable = config.cxx,
        inputs = objects + script + options + [archive.static_library for archive in archives] + others,
        mnemonic = "McuLink",
        outputs = [elf, map_file],
        progress_message = "Linking " + elf.short_path,
    )
    return struct(elf = elf, map = map_file, files = [elf, map_file] + _loadable(ctx, config, name, elf))

def _inputs(context):
    libraries, flags, others = [], [], []
    for one in context.linker_inputs.to_list():
        libraries += [library for library in one.libraries if library.static_library]
        flags += one.user_link_flags
        others += one.additional_inputs
    return libraries, flags, others

def _library(library):
    path = library.static_library.path
    return ["-Wl,--whole-archive", path, "-Wl,--no-whole-archive"] if library.alwayslink else [path]

def _loadable(ctx, config, name, elf):
    """.hex with all that is loaded, and a .bin for each memory; nothing for the host."""
    if not config.binaries:
        return []
    files = [_objcopy(ctx, config, elf, name + ".hex", ["-O", "ihex"])]
    for index, (memory, sections) in enumerate(config.binaries):
        file = "{}-{}.bin".format(name, memory) if index else name + ".bin"
        words = ["-O", "binary"] + ["--only-section=" + section for section in sections]
        files.append(_objcopy(ctx, config, elf, file, words))
    return files

def _objcopy(ctx, config, elf, name, words):
    file = ctx.actions.declare_file(name)
    ctx.actions.run(
        arguments = words + [elf.path, file.path],
        executable = config.objcopy,
        inputs = [elf],
        mnemonic = "McuObjcopy",
        outputs = [file],
    )
    return file
