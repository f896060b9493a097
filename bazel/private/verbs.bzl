"""Verbs of the command on an image: bazel run //:demo.run, //:demo.size, //:demo.flash."""

load("//bazel/private:providers.bzl", "McuFirmwareInfo")

def script(ctx, words, files, command_files):
    """An executable of one line: words are strings or files, which are found among its runfiles."""
    line = " ".join(["'{}'".format(word.short_path if type(word) == "File" else word) for word in words])
    file = ctx.actions.declare_file(ctx.label.name + ".sh")
    text = "#!/bin/sh\ncd \"${RUNFILES_DIR:-$0.runfiles}/" + ctx.workspace_name + "\" || exit\nexec " + line + " \"$@\"\n"
    ctx.actions.write(file, text, is_executable = True)
    runfiles = ctx.runfiles(files = files, transitive_files = command_files)
    return DefaultInfo(executable = file, runfiles = runfiles)

def budget_words(budgets):
    """Budgets that are set, by name, in words of the command."""
    set = [(name, value) for name, value in budgets.items() if value not in ("", -1, None)]
    return [word for name, value in set for word in ("--" + name.replace("_", "-"), str(value))]

def _mcu_firmware_verb_impl(ctx):
    firmware = ctx.attr.firmware[McuFirmwareInfo]
    elf = firmware.elf
    words = [ctx.executable._command, ctx.attr.verb, "--board", firmware.board_file]
    if ctx.attr.verb == "run":
        # It ends where the image ends.
        words += ["--npu", firmware.npu, "--timeout", "1000000"]
    keys = []
    if ctx.attr.verb == "flash":
        words += firmware.signing
        keys = [word for word in firmware.signing if type(word) == "File"]
    words.append(elf)
    return [script(ctx, words, [elf, firmware.map, firmware.board_file] + keys, ctx.attr._command_files[DefaultInfo].files)]

mcu_firmware_verb = rule(
    implementation = _mcu_firmware_verb_impl,
    attrs = {
        "firmware": attr.label(mandatory = True, providers = [McuFirmwareInfo]),
        "verb": attr.string(values = ["run", "size", "flash"]),
        "_command": attr.label(default = "@mcu_boards//:mcu-build", allow_single_file = True, cfg = "exec", executable = True),
        "_command_files": attr.label(default = "@mcu_boards//:command", cfg = "exec"),
    },
    executable = True,
)
