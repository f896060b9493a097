"""A model's file, and its name, which becomes a C++ namespace and a folder. Needs no torch."""

import re
from pathlib import Path

from mcu_build.errors import Exit, McuError

_SUFFIXES = (".py", ".pt2", ".pte")
_WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors")
_FOREIGN = (".onnx", ".tflite", ".h5", ".keras")

# Names that a namespace cannot have: keywords, and what the C and C++ libraries declare globally.
_KEYWORDS = """
    alignas alignof and asm auto bool break case catch char class concept const consteval constexpr
    constinit continue co_await co_return co_yield decltype default delete do double else enum
    explicit export extern false final float for friend goto if import inline int long module
    mutable namespace new noexcept not nullptr operator or override private protected public
    register requires return short signed sizeof static struct switch template this throw true try
    typedef typeid typename union unsigned using virtual void volatile while xor
"""
_LIBRARY = (
    "main std mcu abs exp log sin cos tan tanh sqrt pow floor ceil round time signal index remove rename"
)
_TAKEN = frozenset((_KEYWORDS + _LIBRARY).split())


def model_name(path: Path) -> str:
    """A C++ identifier from the file's stem, or from its folder's name where the stem is `model`."""
    stem = path.stem
    if stem == "model":
        stem = path.resolve().parent.name
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", stem)).strip("_")
    if not name:
        return "model"
    return f"model_{name}" if name[0].isdigit() or name in _TAKEN else name


def check_name(name: str) -> None:
    """McuError (status 2) where a model cannot have this name in C and C++."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in _TAKEN:
        fitting = model_name(Path(f"{name}.py"))
        raise McuError(
            f"--name {name}: no free name in C and C++", f"Take a name such as {fitting}.", Exit.USAGE
        )


def check_model(file: Path) -> None:
    """McuError where there is no such model file, or it is of no kind that is read."""
    if not file.exists():
        raise McuError(f"{file}: no such file", "`mcu-build new` writes a starter model.")
    if file.is_dir() or file.suffix not in _SUFFIXES:
        raise McuError(f"{file}: not a model file", suffix_hint(file))


def suffix_hint(file: Path) -> str:
    """What to give in place of a file that is no model."""
    if file.suffix in _WEIGHTS:
        return (
            "It may hold weights: write a .py file that makes the model and loads them, "
            f"`model.load_state_dict(torch.load({file.name!r}))`. `mcu-build new` writes one to start from."
        )
    if file.suffix in _FOREIGN:
        return "mcu-build reads PyTorch models alone: make it from the model's PyTorch source."
    return f"A model is a file ending in {', '.join(_SUFFIXES)}."
