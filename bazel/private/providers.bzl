"""What our rules tell each other."""

McuModelInfo = provider(
    doc = "A model that was generated for a board.",
    fields = {
        "name": "its C++ namespace",
        "board": "the board's name",
        "board_file": "the board's .toml file",
        "npu": "the NPU that it is for, or none",
        "optimize": "what it gives priority to: speed, size or ram",
        "runtime": "what runs it: static, table or executorch",
        "slot_script": "likewise for MCUboot's slot",
        "linker_script": "a linker script with room for its program slots; None where it has none",
        "second_image": "its first program where it is MCUboot's second image, else None",
        "slots": "a file with the options of a link that tell where these are; None where it has none",
        "place": "where the model file lies, as the project file names it",
        "program": "folder: the program with its vectors and what is known of it",
    },
)

McuFirmwareInfo = provider(
    doc = "An image, and for each of its models the image that tests it.",
    fields = {
        "board": "the board's name",
        "board_file": "the board's .toml file",
        "elf": "the image",
        "map": "what the linker put where",
        "npu": "the NPU of its models, or none",
        "tests": "for each model a struct: model, elf, program",
        "signing": "how `flash` signs it, in words of the command and files; empty where it does not",
        "budgets": "what the project file says of the budgets of tests, by name",
    },
)
