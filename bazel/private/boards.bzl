"""Boards as platforms, and for each compiler of a board its toolchains."""

load("//bazel/private:board.bzl", "mcu_board", "mcu_board_headers")
load("//bazel/private:cc_toolchain.bzl", "mcu_cc_toolchain_config")
load("//bazel/private:libraries.bzl", "mcu_cmsis_nn", "mcu_executorch", "mcu_kernels", "mcu_platform")

def declare_boards(boards, executorch, cmsis_nn):
    """Targets of @mcu_boards: platforms `<board>`, `<board>-<compiler>` for each other compiler, both with `-size`.

    Args:
      boards: what `mcu-build bazel describe` tells of each board.
      executorch: what it tells of ExecuTorch, by board.
      cmsis_nn: names of boards for which there is a CMSIS-NN.
    """
    native.constraint_setting(name = "board")
    native.constraint_setting(name = "compiler")
    for compiler in ("arm-clang", "arm-gcc", "native"):
        native.constraint_value(name = compiler, constraint_setting = ":compiler")
    native.constraint_setting(name = "optimize", default_constraint_value = ":speed")
    for optimize in ("speed", "size"):
        native.constraint_value(name = optimize, constraint_setting = ":optimize")
    for board in boards:
        _declare_board(board, executorch.get(board["name"]), board["name"] in cmsis_nn)
    native.filegroup(name = "none")
    mcu_board_headers(name = "headers")
    mcu_kernels(name = "kernels")
    mcu_executorch(name = "executorch")
    mcu_cmsis_nn(name = "cmsis_nn")
    mcu_platform(name = "platform_production", image = "production")
    mcu_platform(name = "platform_test", image = "test")

def _declare_board(board, executorch, has_cmsis_nn):
    name = board["name"]
    cmsis_nn = ":cmsis_nn-" + name if has_cmsis_nn else None
    if has_cmsis_nn:
        native.filegroup(
            name = "cmsis_nn-" + name,
            srcs = native.glob(["cmsis_nn/{}/**".format(name)]),
        )
    if executorch:
        native.filegroup(
            name = "executorch-" + name,
            srcs = native.glob(["executorch/{}/**".format(name)]),
        )
    native.constraint_value(name = "is-" + name, constraint_setting = ":board")
    for one in board["platforms"]:
        constraints = [":is-" + name, ":" + one["compiler"], ":" + one["optimize"]]
        native.platform(
            name = one["name"],
            constraint_values = constraints,
            parents = ["@local_config_platform//:host"] if one["compiler"] == "native" else [],
        )
        _declare_toolchains(one["name"] + "-tools", board, json.encode(one["config"]), executorch, cmsis_nn, constraints)

def _declare_toolchains(name, board, config, executorch, cmsis_nn, constraints):
    mcu_board(
        name = name + "-board",
        cmsis_nn = cmsis_nn,
        executorch = json.encode(executorch) if executorch else "",
        executorch_files = ":executorch-" + board["name"] if executorch else None,
        config = config,
        file = board["file"],
        linker_script = board["linker_script"] or None,
        slot_script = board["slot_script"] or None,
    )
    native.toolchain(
        name = name + "-board-toolchain",
        target_compatible_with = constraints,
        toolchain = ":" + name + "-board",
        toolchain_type = "@mcu_build//bazel:board_toolchain_type",
    )
    mcu_cc_toolchain_config(name = name + "-config", config = config)
    native.cc_toolchain(
        name = name + "-cc",
        all_files = ":none",
        compiler_files = ":none",
        dwp_files = ":none",
        linker_files = ":none",
        objcopy_files = ":none",
        strip_files = ":none",
        supports_param_files = 0,
        toolchain_config = ":" + name + "-config",
        toolchain_identifier = name,
    )
    native.toolchain(
        name = name + "-cc-toolchain",
        target_compatible_with = constraints,
        toolchain = ":" + name + "-cc",
        toolchain_type = "@bazel_tools//tools/cpp:toolchain_type",
    )
