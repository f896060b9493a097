"""A model that runs in Python → ExportedProgram of torch.export, with the source line of every operator."""

import contextlib
import io
import json
import os
import re
import traceback
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree

from mcu_build.errors import McuError
from mcu_build.frontend.assigned_buffers import assignments_copied
from mcu_build.frontend.first_call import FirstCall, call_once, flat_outputs, output_names
from mcu_build.frontend.free_names import free_names
from mcu_build.frontend.known_values import known_values
from mcu_build.frontend.model_file import Model
from mcu_build.frontend.modes import as_in_firmware, layers_may_raise
from mcu_build.frontend.normalize import normalize
from mcu_build.frontend.op_library import LIBRARY_HINT
from mcu_build.frontend.rounded import saved_rounded
from mcu_build.lower.layout import channels_last
from mcu_build.lower.lines import package_line, source_line
from mcu_build.lower.rewrite.recurrent_shapes import recurrent_shapes
from mcu_build.lower.upstream.quiet import quiet

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')
_NAMES = "mcu_build_output_names"
_ROUNDED = "mcu_build_rounded"
_DATA = "an `if`, a loop, an index or a number that depends on the values of inputs or state (data-dependent)"
_DATA_HINT = (
    "Choose with torch.where or torch.cond, index with a tensor (`x[index]`, torch.gather), count to a fixed "
    "number, leave out an `assert` over values. What no call changes may decide: a buffer that `forward` "
    "only reads, a number of Python."
)
_PACKED_HINT = "Call the recurrent layer with the sequence itself: all calls have one length in firmware."
_EXPORT_HINT = (
    "torch.export needs a model whose operations do not depend on the values of tensors: no `if` or loop "
    "over them, no `.item()`, no conversion to NumPy."
)
_PT2_HINT = (
    "Give a file that torch.export.save of this torch ({version}) has written, and --op-library FILE.py for "
    "custom operators in it."
)


def capture(model: Model, first: FirstCall | None = None) -> ExportedProgram:
    """Export the model with its example inputs; `first` is what call_once has seen of it, if it was called.

    The model sees its inputs as they are. In the program that comes back, 4-D float inputs are channels-last
    (the Cortex-M operators want it); values stay the user's. McuError names the line of the user's model that
    torch.export cannot take, that keeps state, or whose shape is not fixed.
    """
    first = first or call_once(model)
    try:
        # torch prints the graph so far to stderr before it raises, which would bury the error's one line.
        with (
            model.surroundings.active(),
            quiet(),
            recurrent_shapes(),
            contextlib.redirect_stderr(io.StringIO()),
            as_in_firmware(),
            layers_may_raise(),
            flat_outputs(model.model),
            known_values(model.model, first.written),
            assignments_copied(model.model),
        ):
            exported = torch.export.export(model.model, model.example_inputs, strict=False)
    except Exception as error:
        raise _not_exportable(model.path, error) from error
    return _normalized(exported, model.path, first.outputs, first.state)


def load_exported(path: Path) -> ExportedProgram:
    """Read a saved program (.pt2). McuError where it is absent, damaged, newer, or of dynamic shapes.

    Its 4-D float inputs become channels-last, as in `capture`.
    """
    _check_archive(path)
    hint = _PT2_HINT.format(version=torch.__version__)
    try:
        with quiet():
            # Registers quantized_decomposed::*, which loading looks up by name.
            import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401

            exported = torch.export.load(path)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise McuError(f"{path}: damaged: {type(error).__name__}: {reason}", hint) from error
    if exported.example_inputs is None:
        raise McuError(
            f"{path}: it holds no example inputs", "Save what torch.export.export returned, whole."
        )
    inputs = _pytree.tree_leaves(exported.example_inputs)
    if not all(isinstance(tensor, torch.Tensor) for tensor in inputs):
        raise McuError(
            f"{path}: inputs that are not tensors", "Give `forward` what is no tensor as attributes."
        )
    names, rounded = _saved_names(exported), saved_rounded(exported)
    _inputs_in_a_row(exported, inputs)
    made = _normalized(exported, path, names)
    made.graph.output_node().meta[_ROUNDED] = rounded
    return made


def _inputs_in_a_row(exported: ExportedProgram, inputs: Sequence[torch.Tensor]) -> None:
    """The program takes its tensors one by one, whatever dictionaries or keywords it was exported with."""
    root = exported.module_call_graph[0].signature
    assert root is not None
    root.in_spec = _pytree.tree_structure((tuple(inputs), {}))
    root.forward_arg_names = list(exported.graph_signature.user_inputs)
    exported.example_inputs = (tuple(inputs), {})


def rounded_weights(exported: ExportedProgram) -> tuple[str, ...]:
    """The weights of a loaded program that torchao has rounded, which are floats in it."""
    return tuple(exported.graph.output_node().meta.get(_ROUNDED, ()))


def names_of_outputs(exported: ExportedProgram) -> tuple[str, ...]:
    """How a captured model's own result names each output: 'boxes', 'heads[0]'; '' for its only one."""
    return tuple(exported.graph.output_node().meta.get(_NAMES, ()))


def _saved_names(exported: ExportedProgram) -> tuple[str, ...]:
    results = [
        spec.arg for spec in exported.graph_signature.output_specs if spec.kind is OutputKind.USER_OUTPUT
    ]
    names = [None if getattr(result, "value", result) is None else result.name for result in results]
    return output_names(_pytree.tree_unflatten(names, exported.call_spec.out_spec))


def _normalized(
    exported: ExportedProgram, path: Path, names: Sequence[str], state: frozenset[str] = frozenset()
) -> ExportedProgram:
    _check_inputs_fixed(exported, path)
    try:
        with quiet(), recurrent_shapes(), torch.no_grad():
            free_names(exported)
            made = normalize(_marked(exported, path), path, state)
            made.graph.output_node().meta[_NAMES] = tuple(names)
            return made
    except McuError:
        raise
    except Exception as error:
        raise _not_exportable(path, error) from error


def _marked(exported: ExportedProgram, path: Path) -> ExportedProgram:
    """The program in float, with markers where its author has quantized it."""
    from mcu_build.lower.annotate.given import take_out

    try:
        return take_out(exported)
    except McuError as error:
        lines = "\n".join(f"{path}: {line}" for line in error.message.split("\n"))
        raise McuError(lines, error.hint) from error


def _not_exportable(path: Path, error: Exception) -> McuError:
    """torch's reason in one line, with the line of the user's model."""
    line = _line_in(path, error)
    steps = list(traceback.walk_tb(error.__traceback__))
    place = f"line {line}" if line else package_line((frame.f_code.co_filename, at) for frame, at in steps)
    where = f"{path}: {place}" if place else str(path)
    lines = [text.strip() for text in str(error).split("\n")]
    # Graphs and code listings come before or after the reason; the reason is the first sentence.
    reason = next((text for text in lines if text and not text.startswith(("def ", "File ", "#"))), "")
    if "data-dependent" in reason:
        is_packed = any(frame.f_code.co_name == "pack_padded_sequence" for frame, _ in steps)
        hint = _PACKED_HINT if is_packed else _DATA_HINT
        return McuError(f"{where}: cannot be exported: {_DATA}", hint)
    hint = LIBRARY_HINT if "_OpNamespace" in reason else _EXPORT_HINT
    if "fake tensor in the exported program" in reason:
        hint = "Does it read or write `.data`? Take the parameter or buffer itself: self.past.copy_(...)."
    return McuError(f"{where}: cannot be exported: {type(error).__name__}: {reason}", hint)


def _line_in(path: Path, error: Exception) -> str | None:
    """The last line of the model file on the way to the error: by its traceback, else as torch tells it."""
    file, last, trace = str(path.resolve()), None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            last = str(trace.tb_lineno)
        trace = trace.tb_next
    lines_of_error = [line for name, line in _FRAME.findall(str(error)) if os.path.realpath(name) == file]
    return last or (lines_of_error[-1] if lines_of_error else None)


def _check_inputs_fixed(exported: ExportedProgram, path: Path) -> None:
    """McuError for every input with a dynamic dimension."""
    inputs = set(exported.graph_signature.user_inputs)
    dynamic = [
        f"{path}: input {node.name!r}: dimension {dimension} is dynamic"
        for node in exported.graph.nodes
        if node.op == "placeholder" and node.name in inputs
        for dimension in _symbolic(node.meta.get("val"))
    ]
    if dynamic:
        raise McuError("\n".join(dynamic), "Firmware has fixed shapes: export without `dynamic_shapes`.")


def _symbolic(value: Any) -> list[int]:
    """Dimensions of a tensor that are not numbers."""
    if not isinstance(value, torch.Tensor):
        return []
    return [index for index, size in enumerate(value.shape) if not isinstance(size, int)]


def _check_archive(path: Path) -> None:
    """McuError where `path` is no archive of torch.export.save, or of a newer schema."""
    from torch._export.serde.schema import SCHEMA_VERSION

    hint = _PT2_HINT.format(version=torch.__version__)
    try:
        with zipfile.ZipFile(path) as archive:
            versions = list(_schema_versions(archive))
    except OSError as error:
        raise McuError(f"{path}: {error.strerror or error}", "Can the file be read?") from error
    except zipfile.BadZipFile as error:
        raise McuError(f"{path}: not a saved torch.export program, or truncated: {error}", hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise McuError(f"{path}: damaged: its model cannot be read: {error}", hint) from error
    if not versions:
        raise McuError(f"{path}: an archive, but not one of torch.export.save (no models/*.json in it)", hint)
    newest = max(versions)
    if newest[0] > SCHEMA_VERSION[0]:
        raise McuError(
            f"{path}: schema {newest[0]}.{newest[1]} is newer than this torch reads "
            f"({SCHEMA_VERSION[0]}.{SCHEMA_VERSION[1]})",
            f"Save it with torch {torch.__version__}, or update mcu-build.",
        )


def _schema_versions(archive: zipfile.ZipFile) -> Iterator[tuple[int, int]]:
    for name in archive.namelist():
        if re.search(r"(^|/)models/[^/]+\.json$", name):
            version = json.loads(archive.read(name))["schema_version"]
            yield int(version["major"]), int(version["minor"])


__all__ = ["capture", "channels_last", "load_exported", "source_line"]
