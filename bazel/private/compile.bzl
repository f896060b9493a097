"""Compiling with the board's toolchain."""

load("//bazel/private:board.bzl", "CC", "board_of")

def configure(ctx):
    """The C++ toolchain of the board and its features, for cc_common."""
    toolchain = ctx.toolchains[CC]
    if hasattr(toolchain, "cc"):
        toolchain = toolchain.cc
    features = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain)
    return struct(toolchain = toolchain, features = features)

def compile_objects(ctx, name, srcs, contexts, own = True, **options):
    """Compile sources.

    Args:
      ctx: the rule's.
      name: a folder for the objects.
      srcs: the sources.
      contexts: compilation contexts that they see.
      own: whether they are ours: then warnings are errors.
      **options: further arguments of cc_common.compile.

    Returns:
      (CcCompilationContext, CcCompilationOutputs)
    """
    cc = configure(ctx)
    flags = list(options.pop("user_compile_flags", []))
    if own:
        flags = board_of(ctx).config.warning_options + flags
    return cc_common.compile(
        actions = ctx.actions,
        cc_toolchain = cc.toolchain,
        compilation_contexts = contexts,
        disallow_pic_outputs = True,
        feature_configuration = cc.features,
        name = name,
        srcs = srcs,
        # No folder of Bazel's in an image.
        user_compile_flags = flags + ["-ffile-prefix-map={}=build".format(ctx.bin_dir.path)],
        **options
    )

def archive(ctx, name, outputs):
    """A static library lib<name>.a of compiled objects, as a linking context."""
    cc = configure(ctx)
    context, _ = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        cc_toolchain = cc.toolchain,
        compilation_outputs = outputs,
        disallow_dynamic_library = True,
        feature_configuration = cc.features,
        name = name,
    )
    return context
