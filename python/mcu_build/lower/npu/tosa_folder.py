"""TOSA of delegates in a folder: what their proof has made (vela.py) is there for lowering, which would make
the same again in most of its time.

A file <fingerprint>.tosa for each delegate, and a .json with the operators that its tensors belong to.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from executorch.backends.arm.tosa.backend import TOSABackend
from executorch.exir.backend.backend_details import PreprocessResult
from torch.export import ExportedProgram
from torch.fx import GraphModule

from mcu_build.lower.assigned import Origin, origin
from mcu_build.lower.upstream.replaced import replaced

Preprocess = Callable[[ExportedProgram, Any], PreprocessResult]


@contextlib.contextmanager
def written_to(folder: Path | None, names: dict[str, Origin]) -> Iterator[None]:
    """Keep the TOSA of delegates that are lowered inside the block, with the `names` of each, in `folder`.

    What an earlier block has written there is removed.
    """
    if folder is None:
        yield
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def make(original: Preprocess, program: ExportedProgram, spec: Any) -> PreprocessResult:
        file = folder / _fingerprint(program, spec)  # before `program` is rewritten
        result = original(program, spec)
        file.with_suffix(".tosa").write_bytes(result.processed_bytes)
        origins = {tensor: asdict(known) for tensor, known in names.items()}
        file.with_suffix(".json").write_text(json.dumps(origins))
        return result

    with _in_place_of_preprocess(make):
        yield


@contextlib.contextmanager
def read_from(folder: Path | None, names: dict[str, Origin]) -> Iterator[None]:
    """Take what `folder` has of the delegates that are lowered inside the block; `names` gets theirs."""

    def read(original: Preprocess, program: ExportedProgram, spec: Any) -> PreprocessResult:
        file = folder / _fingerprint(program, spec) if folder else None
        if not file or not file.with_suffix(".json").exists():
            return original(program, spec)
        origins = json.loads(file.with_suffix(".json").read_text())
        names.update({tensor: Origin(**fields) for tensor, fields in origins.items()})
        return PreprocessResult(processed_bytes=file.with_suffix(".tosa").read_bytes())

    with _in_place_of_preprocess(read):
        yield


@contextlib.contextmanager
def _in_place_of_preprocess(
    make: Callable[[Preprocess, ExportedProgram, Any], PreprocessResult],
) -> Iterator[None]:
    original = TOSABackend._preprocess
    ours = staticmethod(lambda program, spec: make(original, program, spec))
    with replaced(TOSABackend, "_preprocess", ours):
        yield


def _fingerprint(program: ExportedProgram, spec: Any) -> str:
    """Of all that a delegate's TOSA, and the names in it, come from."""
    digest = hashlib.sha256(repr([(item.key, item.value) for item in spec._to_list()]).encode())
    for graph in (
        module.graph for module in program.graph_module.modules() if isinstance(module, GraphModule)
    ):
        for node in graph.nodes:
            parts = (node.name, node.op, str(node.target), node.args, dict(node.kwargs), origin(node))
            digest.update(repr((*parts, _layouts(node.meta.get("val")))).encode())
    for name, value in sorted({**program.state_dict, **program.constants}.items()):
        digest.update(repr((name, _layouts(value))).encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _layouts(value: Any) -> Any:
    tensors = value if isinstance(value, list | tuple) else [value]
    known = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]
    return [(layout.dtype, tuple(layout.shape), tuple(layout.stride())) for layout in known]
