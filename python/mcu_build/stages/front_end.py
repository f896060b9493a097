"""Capture and quantize, behind the cache; torch is imported only where they have to run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.cache import ROOM, Cache, hash_text, own_code, versions
from mcu_build.dependencies import FRONT_END_CODE, Dependencies
from mcu_build.errors import McuError
from mcu_build.files import lock, write_atomically
from mcu_build.frontend import op_library
from mcu_build.frontend.names import check_model
from mcu_build.hardware import NpuChoice
from mcu_build.progress import Progress

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# Wishes by layer in place of the model file's; None where that decides.
Precision = Mapping[str, str] | None

# What a model depended on when it was captured last.
_OBSERVED = "observed.json"

# Stands for the model file in texts that are kept: copies of a project share them.
MODEL = "{model file}"


@dataclass(frozen=True)
class FrontEnd:
    """A captured and quantized model: its entry in the cache, and what it depends on.

    `made` is the program of quantized.pt2 where it was made just now, so that nobody reads it again.
    """

    key: str
    entry: Path
    observed: Dependencies
    made: "ExportedProgram | None" = None


def quantization_kind(npu: NpuChoice | None) -> str | None:
    """What a model is quantized for. Ethos-U55 and U65 take the same operators and share the result."""
    if npu is None:
        return None
    return "ethos-u85" if npu.kind == "ethos-u85" else "ethos-u55"


def quantized_quality(
    file: Path, npu: NpuChoice | None, cache: Cache, progress: Progress, libraries: Sequence[Path] = ()
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """What int8 does to a model: `quality` and `layers` as `Lowered` has them. Nothing is lowered.

    McuError for a .pte, which holds no float model.
    """
    check_model(file)
    op_library.check(libraries)
    if file.suffix == ".pte":
        raise McuError(f"{file}: a .pte holds no float model to compare with", "Give the model.py or .pt2.")
    model = quantized(file, quantization_kind(npu), cache, progress, libraries)
    info = json.loads((model.entry / "info.json").read_text())
    return info["quality"], info["layers"]


def quantized(
    file: Path,
    npu_kind: str | None,
    cache: Cache,
    progress: Progress,
    libraries: Sequence[Path],
    precision: Precision = None,
) -> FrontEnd:
    """A model, captured and quantized.

    `precision` stands for what the model file has.

    It is found without torch where nothing has changed. What is kept of dependencies is relative to the
    model, and is this file's alone: a copy of the project has its own.
    """
    notes = (
        cache.root
        / "dependencies"
        / hash_text(str(file.resolve()), *(str(library.resolve()) for library in libraries))
    )
    known = _known(file, npu_kind, notes, cache, precision)
    if known is None:
        # What the model depends on is known only at the end: who needs the same meanwhile waits for it.
        with lock(notes, lambda: progress.warn(f"{file}: waiting for another build of it"), ROOM):
            known = _known(file, npu_kind, notes, cache, precision)
            if known is None:
                made = _run_front_end(file, npu_kind, cache, progress, libraries, precision)
                if made.observed.settled:
                    kept = json.dumps(made.observed.document(file.resolve().parent))
                    write_atomically(notes / _OBSERVED, kept.encode())
                return made
    for name in ("capture", "quantize"):
        with progress.stage(name) as mark:
            mark.cached = True
    return known


def _known(
    file: Path, npu_kind: str | None, notes: Path, cache: Cache, precision: Precision
) -> FrontEnd | None:
    """A model that was quantized before, where it still depends on the same."""
    kept = notes / _OBSERVED
    if not kept.is_file():
        return None
    observed = Dependencies.read(json.loads(kept.read_text()), file.resolve().parent)
    if not observed.are_there:
        return None
    key = _front_end_key(file, npu_kind, observed, precision)
    entry = cache.find(key)
    return FrontEnd(key, entry, observed) if entry else None


def _front_end_key(file: Path, npu_kind: str | None, observed: Dependencies, precision: Precision) -> str:
    wishes = () if precision is None else ("precision", json.dumps(list(precision.items())))
    return hash_text(
        "quantized",
        npu_kind or "",
        file.name,
        versions("torch", "torchao", "executorch", "numpy"),
        own_code(*FRONT_END_CODE),
        observed.key(file.resolve().parent),
        *wishes,
    )


def _run_front_end(
    file: Path,
    npu_kind: str | None,
    cache: Cache,
    progress: Progress,
    libraries: Sequence[Path],
    precision: Precision,
) -> FrontEnd:
    """Capture and quantize. What the model depends on is known only afterwards, and so is the key."""
    import tempfile

    from mcu_build.frontend import session

    cache.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.root) as made:
        folder = Path(made)
        observed, program = session.run(file, folder, npu_kind, progress, libraries, precision)
        _without_model_file(folder / "info.json", file)
        key = _front_end_key(file, npu_kind, observed, precision)
        if not observed.settled:
            key = hash_text(key, folder.name)  # of use to nobody else
        entry, _ = cache.get(key, lambda entry: _move_all(folder, entry))
        return FrontEnd(key, entry, observed, program)


def _without_model_file(info: Path, file: Path) -> None:
    """Have warnings not name the model file by its path here."""
    document = json.loads(info.read_text())
    document["warnings"] = [_portable(text, file) for text in document["warnings"]]
    info.write_text(json.dumps(document))


def _portable(text: str, file: Path) -> str:
    return text.replace(str(file), MODEL).replace(str(file.resolve()), MODEL)


def _move_all(source: Path, target: Path) -> None:
    for path in source.iterdir():
        path.rename(target / path.name)
