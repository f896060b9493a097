"""mcu_firmware_test: firmware on the simulator against the quantized program, exactly."""

load("//bazel/private:providers.bzl", "McuFirmwareInfo")
load("//bazel/private:options.bzl", "TEST_BUDGETS")
load("//bazel/private:verbs.bzl", "budget_words", "script")

def _tested(ctx, firmware):
    """The test image of the model that is tested: of the one there is, or of the one that `model` names."""
    names = [test.model for test in firmware.tests]
    wanted = ctx.attr.model or (names[0] if len(names) == 1 else "")
    found = [test for test in firmware.tests if test.model == wanted]
    if not found:
        fail("{}: model: name one of {}".format(ctx.label, ", ".join(names)))
    return found[0]

def _mcu_firmware_test_impl(ctx):
    firmware = ctx.attr.firmware[McuFirmwareInfo]
    tested = _tested(ctx, firmware)
    inputs = ctx.file.inputs
    count = ["--vectors", str(ctx.attr.vectors)] if ctx.attr.vectors > 0 else []
    command_files = ctx.attr._command_files[DefaultInfo].files
    expected = ctx.actions.declare_directory(ctx.label.name + ".expected")
    args = ctx.actions.args()
    args.add_all(["bazel", "expect"])
    args.add_all([inputs] if inputs else [], before_each = "--inputs")
    args.add_all(count)
    args.add("--output", expected.path)
    args.add(tested.program.path)
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._command,
        inputs = [tested.program] + ([inputs] if inputs else []),
        mnemonic = "McuExpect",
        outputs = [expected],
        progress_message = "Evaluating " + tested.model,
        tools = command_files,
    )
    words = [ctx.executable._command, "bazel", "test", "--board", firmware.board_file, "--expected", expected, "--image", tested.elf] + count
    own = {name: getattr(ctx.attr, name) for name in TEST_BUDGETS}
    words += budget_words({name: firmware.budgets[name] if own[name] in ("", -1) else own[name] for name in own})
    files = [tested.program, tested.elf, expected, firmware.board_file]
    if inputs:
        words += ["--inputs", inputs]
        files.append(inputs)
    return [script(ctx, words + [tested.program], files, command_files)]

mcu_firmware_test = rule(
    implementation = _mcu_firmware_test_impl,
    doc = "Runs a model's firmware in the simulator; every output must equal that of the quantized program.",
    attrs = dict(TEST_BUDGETS, **{
        "firmware": attr.label(mandatory = True, providers = [McuFirmwareInfo]),
        "model": attr.string(doc = "Which of the firmware's models, where it has several"),
        "inputs": attr.label(allow_single_file = [".npz"], doc = "input_0 ...; else the model's own data"),
        "vectors": attr.int(default = -1, doc = "Only the first so many"),
        "_command": attr.label(default = "@mcu_boards//:mcu-build", allow_single_file = True, cfg = "exec", executable = True),
        "_command_files": attr.label(default = "@mcu_boards//:command", cfg = "exec"),
    }),
    test = True,
)
