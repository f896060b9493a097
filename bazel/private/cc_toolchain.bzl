"""The C++ toolchain of a board and a compiler. Which options there are is said by codegen/toolchain_config.py alone."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load(
    "@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl",
    "action_config",
    "env_entry",
    "env_set",
    "feature",
    "flag_group",
    "flag_set",
    "tool",
    "tool_path",
    "variable_with_value",
)

_C = [ACTION_NAMES.c_compile, ACTION_NAMES.assemble, ACTION_NAMES.preprocess_assemble]
_CXX = [ACTION_NAMES.cpp_compile, ACTION_NAMES.cpp_header_parsing]

def _compile_feature(name, flags, actions = _C + _CXX, **conditions):
    return feature(
        name = name,
        enabled = True,
        flag_sets = [flag_set(actions = actions, flag_groups = [flag_group(flags = flags, **conditions)])] if flags else [],
    )

def _each(name, flag, variable):
    return _compile_feature(name, [flag + "%{" + variable + "}"], iterate_over = variable, expand_if_available = variable)

def _archive_feature():
    objects = flag_group(
        iterate_over = "libraries_to_link",
        expand_if_available = "libraries_to_link",
        flag_groups = [flag_group(
            flags = ["%{libraries_to_link.name}"],
            expand_if_equal = variable_with_value(name = "libraries_to_link.type", value = "object_file"),
        )],
    )
    # D: no times, users or modes in an archive.
    start = flag_group(flags = ["rcsD", "%{output_execpath}"])
    return feature(
        name = "archive",
        enabled = True,
        flag_sets = [flag_set(actions = [ACTION_NAMES.cpp_link_static_library], flag_groups = [start, objects])],
    )

def _tools(path, actions):
    return [action_config(action_name = action, enabled = True, tools = [tool(path = path)]) for action in actions]

def _mcu_cc_toolchain_config_impl(ctx):
    config = struct(**json.decode(ctx.attr.config))
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "local",
        abi_version = "local",
        action_configs = _tools(config.cc, _C) + _tools(config.cxx, _CXX) + _tools(config.archiver, [ACTION_NAMES.cpp_link_static_library]),
        compiler = config.toolchain,
        cxx_builtin_include_directories = config.system_includes,
        features = [
            # All flags are those below.
            feature(name = "no_legacy_features"),
            _each("defines", "-D", "preprocessor_defines"),
            _each("quote_includes", "-iquote", "quote_include_paths"),
            _each("includes", "-I", "include_paths"),
            _each("system_includes", "-isystem", "system_include_paths"),
            _compile_feature("board_c", config.c_compile_options, _C),
            _compile_feature("board_cxx", config.compile_options, _CXX),
            _compile_feature("user", ["%{user_compile_flags}"], iterate_over = "user_compile_flags", expand_if_available = "user_compile_flags"),
            _compile_feature("dependencies", ["-MD", "-MF", "%{dependency_file}"], expand_if_available = "dependency_file"),
            _compile_feature("input", ["-c", "%{source_file}"], expand_if_available = "source_file"),
            _compile_feature("output", ["-o", "%{output_file}"], expand_if_available = "output_file"),
            _archive_feature(),
            # Bazel's keys of compilations do not count the path of a compiler, still less its version.
            feature(name = "compiler", enabled = True, env_sets = [env_set(
                actions = _C + _CXX,
                env_entries = [env_entry(key = "MCU_COMPILER", value = config.cxx + ": " + config.compiler)],
            )]),
        ],
        host_system_name = "local",
        target_cpu = config.board,
        target_libc = "newlib",
        target_system_name = config.board,
        tool_paths = [
            tool_path(name = "gcc", path = config.cc),
            tool_path(name = "ar", path = config.archiver),
            tool_path(name = "objcopy", path = config.objcopy),
        ] + [tool_path(name = name, path = "/bin/false") for name in ("cpp", "gcov", "ld", "nm", "objdump", "strip")],
        toolchain_identifier = ctx.label.name,
    )

mcu_cc_toolchain_config = rule(
    implementation = _mcu_cc_toolchain_config_impl,
    attrs = {"config": attr.string()},
    provides = [CcToolchainConfigInfo],
)
