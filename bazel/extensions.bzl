"""For MODULE.bazel of Bazel 6 and newer. Untried."""

load("//bazel:repositories.bzl", "mcu_boards_repository")

_boards = tag_class(attrs = {
    "boards": attr.label_list(doc = "Board files of the project's own"),
})

def _mcu_build_impl(module_ctx):
    own = [board for module in module_ctx.modules for tag in module.tags.boards for board in tag.boards]
    mcu_boards_repository(name = "mcu_boards", boards = own)

mcu_build = module_extension(
    implementation = _mcu_build_impl,
    tag_classes = {"boards": _boards},
)
