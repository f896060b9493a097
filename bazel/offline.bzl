"""For Bazel 4 without network: stand-ins for the two repositories that its own tools would download."""

_RULES = {
    "cc": ["cc_binary", "cc_import", "cc_library", "cc_test", "cc_toolchain", "cc_toolchain_suite"],
    "java": ["java_binary", "java_import", "java_library", "java_runtime", "java_test", "java_toolchain"],
}

def _native_rules_impl(repository_ctx):
    language = repository_ctx.attr.language
    lines = ["{0} = native.{0}\n".format(rule) for rule in _RULES[language]]
    repository_ctx.file(language + "/BUILD.bazel", "")
    repository_ctx.file(language + "/defs.bzl", "".join(lines))

_native_rules = repository_rule(
    implementation = _native_rules_impl,
    doc = "Bazel's own rules for a language under the names that rules_<language> has.",
    attrs = {"language": attr.string(values = _RULES.keys())},
)

def _no_coverage_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", """\
sh_binary(
    name = "coverage_report_generator",
    srcs = ["none.sh"],
    visibility = ["//visibility:public"],
)
""")
    repository_ctx.file("none.sh", "#!/bin/sh\necho 'no coverage tools without network' >&2\nexit 1\n")

_no_coverage = repository_rule(implementation = _no_coverage_impl)

def offline_rules():
    """Make @rules_cc and @rules_java. Call it in WORKSPACE, where projects need no more of them than Bazel does."""
    for language in _RULES:
        _native_rules(name = "rules_" + language, language = language)
    _no_coverage(name = "remote_coverage_tools")
