"""What all images of a board share: kernels as a library, the platform as objects."""

load("//bazel/private:board.bzl", "BOARD", "CC", "board_of")
load("//bazel/private:compile.bzl", "archive", "compile_objects")

def _firmware_sources(ctx, paths):
    """Files of firmware/ by their paths below it, in that order."""
    files = {file.path.partition("/firmware/")[2]: file for file in ctx.files._firmware}
    return [files[path] for path in paths]

def _context(ctx):
    return ctx.attr._headers[CcInfo].compilation_context

def _mcu_kernels_impl(ctx):
    sources = _firmware_sources(ctx, board_of(ctx).config.kernels)
    _, outputs = compile_objects(ctx, "kernels", sources, [_context(ctx)])
    return [CcInfo(linking_context = archive(ctx, "kernels", outputs))]

def _mcu_executorch_impl(ctx):
    executorch, config = board_of(ctx).executorch, board_of(ctx).config
    if not executorch:
        return [CcInfo()]
    files = [file for file in ctx.files._firmware if "/firmware/executorch/" in file.path]
    compiled, outputs = compile_objects(
        ctx,
        "executorch",
        [file for file in files if file.extension == "cpp"],
        [_context(ctx), executorch.context],
        local_defines = ["MCU_NO_HEAP"] if config.binaries else [],
        private_hdrs = [file for file in files if file.extension == "h"],
    )
    own = CcInfo(compilation_context = compiled, linking_context = archive(ctx, "executorch", outputs))
    runtime = CcInfo(linking_context = executorch.linking_context)
    return [cc_common.merge_cc_infos(direct_cc_infos = [own], cc_infos = [ctx.attr._kernels[CcInfo], runtime])]

def _mcu_cmsis_nn_impl(ctx):
    library = board_of(ctx).cmsis_nn
    if not library:
        return [CcInfo()]
    sources = _firmware_sources(ctx, ["kernels/cmsis_nn/cmsis_nn.cpp"])
    _, outputs = compile_objects(ctx, "cmsis_nn", sources, [_context(ctx), library.context])
    own = CcInfo(linking_context = archive(ctx, "cmsis_nn", outputs))
    return [cc_common.merge_cc_infos(direct_cc_infos = [own], cc_infos = [CcInfo(linking_context = library.linking_context)])]

def _mcu_platform_impl(ctx):
    config = board_of(ctx).config
    paths = config.test_sources if ctx.attr.image == "test" else config.production_sources
    _, outputs = compile_objects(ctx, ctx.attr.image, _firmware_sources(ctx, paths), [_context(ctx)])
    return [DefaultInfo(files = depset(outputs.objects, order = "preorder"))]

_ATTRS = {
    "_firmware": attr.label(default = "@mcu_boards//:firmware"),
    "_headers": attr.label(default = "@mcu_boards//:headers"),
}

# Every kernel of the board. The linker takes those that models call; they are compiled once for all models.
mcu_kernels = rule(
    implementation = _mcu_kernels_impl,
    attrs = _ATTRS,
    fragments = ["cpp"],
    toolchains = [BOARD, CC],
)

# The kernel that calls the user's own CMSIS-NN, with that library.
mcu_cmsis_nn = rule(
    implementation = _mcu_cmsis_nn_impl,
    attrs = _ATTRS,
    fragments = ["cpp"],
    toolchains = [BOARD, CC],
)

# What stands between ExecuTorch's runtime and the kernels: every operator, compiled once for all models.
mcu_executorch = rule(
    implementation = _mcu_executorch_impl,
    attrs = dict(_ATTRS, _kernels = attr.label(default = "@mcu_boards//:kernels")),
    fragments = ["cpp"],
    toolchains = [BOARD, CC],
)

mcu_platform = rule(
    implementation = _mcu_platform_impl,
    attrs = dict(_ATTRS, image = attr.string(values = ["production", "test"])),
    fragments = ["cpp"],
    toolchains = [BOARD, CC],
)
