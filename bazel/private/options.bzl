"""Build options, budgets and signing as attributes. Made by scripts/update-docs."""

OPTION_ATTRS = {
    "board": attr.string(doc = "A board's name, or a .toml file; else that of MCU_BOARD, else that of the project file."),
    "npu": attr.string(doc = "ethos-u55-128 and so on; none: every operator on the core. Else the board's default."),
    "io": attr.string(doc = "Element type of the model's inputs and outputs; int8 leaves out the conversion from float.", values = ["", "float", "int8"]),
    "latency": attr.int(default = -1, doc = "How late a stream's outputs may come, in samples of its input; else the model file's."),
    "optimize": attr.string(doc = "What to give priority to: instructions, flash, or RAM.", values = ["", "speed", "size", "ram"]),
    "ram": attr.string(doc = "Bytes that the arena may take: layers run row by row until it does. Else what its memory has."),
    "arena": attr.string_list(doc = "A memory of the board for activations; given again, another for what has no room in the first."),
    "constants": attr.string_list(doc = "A memory of the board for weights, likewise."),
    "place": attr.string_list(doc = "A memory for what these layers make, or for their weights: features.0=dtcm, input=sram."),
    "input_by": attr.string(doc = "rows: the application brings the input row by row, and it never lies in the arena whole.", values = ["", "image", "rows"]),
    "op_library": attr.label_list(allow_files = [".py"], doc = "Python that defines custom operators of the model with torch.library."),
    "kernel_sources": attr.label_list(allow_files = [".cpp", ".cc", ".cxx"], doc = "C++ with the kernels of custom operators."),
    "method": attr.string(doc = "The method of a .pte that has several; the model is then called FILE_METHOD."),
    "data": attr.label_list(allow_files = [".ptd"], doc = "A file with weights of a .pte that lie apart from it."),
    "toolchain": attr.string(doc = "Compiler for Arm cores; clang where it is installed.", values = ["", "arm-clang", "arm-gcc"]),
    "kernels": attr.string(doc = "cmsis-nn: those of your own CMSIS-NN for the operators that it has, to compare. upstream: those of your ExecuTorch, under its runtime; the program is then loaded as it is.", values = ["", "ours", "cmsis-nn", "upstream"]),
    "runtime": attr.string(doc = "static: the program compiled to C++; table: our runner calls the same kernels from data; executorch: ExecuTorch's own runtime loads it.", values = ["", "static", "table", "executorch"]),
    "ops": attr.string_list(doc = "Link these operators."),
    "ops_from": attr.label_list(allow_files = [".pte"], doc = "Link the operators of these programs, for firmware that is to receive them later."),
    "method_pool": attr.string(doc = "Bytes for ExecuTorch's structures; else measured."),
    "temp_pool": attr.string(doc = "Bytes for ExecuTorch's temporary memory; else measured."),
    "reserve_ram": attr.string(doc = "Bytes of RAM at least for what a plan computes with: for a later one that needs more."),
    "reserve_scratch": attr.string(doc = "Bytes of an NPU's fast scratch memory at least, likewise."),
    "program_slot": attr.string(doc = "Keep the program apart from the image, in flash with room for two of them; mcuboot: in the slot of MCUboot's second image."),
    "program_key": attr.label(allow_single_file = [".pem"], doc = "An Ed25519 key in PEM format: the firmware takes programs alone that are signed with it."),
}

FIRMWARE_BUDGETS = {
    "max_flash": attr.string(doc = "Fail (status 6) above this many bytes of flash, such as 64K."),
    "max_ram": attr.string(doc = "Fail (status 6) above this many bytes of RAM."),
}

TEST_BUDGETS = {
    "max_instructions": attr.int(default = -1, doc = "Fail (status 6) above this many instructions of one inference."),
    "max_cycles": attr.int(default = -1, doc = "Fail (status 6) above this many modelled cycles of one inference."),
    "min_accuracy": attr.string(doc = "Fail (status 6) below this share of right answers on the device, such as 0.95."),
    "min_sqnr": attr.string(doc = "Fail (status 6) where an output, or a group of its channels, is noisier than this against float."),
    "max_drop": attr.string(doc = "Fail (status 6) where accuracy is so many points of 100 below the float model's."),
}

SIGNING = {
    "sign": attr.label(allow_single_file = [".pem"], doc = "Make an image for MCUboot's slot, signed with this key (PEM)."),
    "version": attr.string(doc = "The signed image's version, such as 1.2.3."),
    "security_counter": attr.string(doc = "MCUboot refuses images with a lower one than it has run; auto makes it of the version."),
    "encrypt": attr.label(allow_single_file = [".pem"], doc = "Encrypt the signed update for bootloaders with this key (PEM)."),
    "pad": attr.bool(doc = "Make an update of the slot's size, for MCUboot to try once."),
    "confirm": attr.bool(doc = "As --pad, for MCUboot to keep."),
}
