"""For MODULE.bazel of Bazel 6 and newer. Untried.

    boards = use_extension("@mcu_build//bazel:extensions.bzl", "mcu_build")
    boards.boards(boards = ["//:mine.toml"], project = "//:mcu-build.toml")
    use_repo(boards, "mcu_boards")
"""

load("//bazel:repositories.bzl", "BOARDS_ATTRS", "mcu_boards")

def _mcu_build_impl(module_ctx):
    boards, executorch, cmsis_nn, project = [], {}, {}, None
    for module in module_ctx.modules:
        for tag in module.tags.boards:
            boards += tag.boards
            executorch.update(tag.executorch)
            cmsis_nn.update(tag.cmsis_nn)
            project = project or tag.project
    mcu_boards(
        boards = boards,
        cmsis_nn = cmsis_nn,
        executorch = executorch,
        project = project,
    )

mcu_build = module_extension(
    implementation = _mcu_build_impl,
    tag_classes = {"boards": tag_class(attrs = BOARDS_ATTRS)},
)
