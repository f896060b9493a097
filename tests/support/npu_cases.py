"""Lower small quantized modules for Ethos-U and run the TOSA reference model on what was lowered.

A case is made once and kept under build/npu-cases by what it was made from; making one takes seconds, most of
them to import torch, and reading one takes milliseconds.
"""

import contextlib
import hashlib
import importlib.metadata
import inspect
import io
import math
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from mcu_build.npu.payload import Payload, parse

_STORE = Path(__file__).parents[2] / "build" / "npu-cases"
_RUNS = 3

Builder = Callable[[], tuple[Any, tuple[Any, ...]]]


@dataclass(frozen=True)
class Graph:
    """TOSA of a delegate, and the reference model's outputs for inputs[run]."""

    tosa: bytes
    inputs: list[list[np.ndarray]]
    outputs: list[list[np.ndarray]]


@dataclass(frozen=True)
class Partition:
    """A module's delegates, and the operators that no delegate took."""

    graphs: tuple[Graph, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A delegate as Vela compiled it for an NPU, Vela's listing of its stream, and what it must give."""

    target: str
    delegate: bytes
    listing: str
    inputs: list[list[np.ndarray]]
    outputs: list[list[np.ndarray]]

    @property
    def product(self) -> str:
        return self.target.split("-")[1]

    @property
    def payload(self) -> Payload:
        return parse(self.delegate)


def make(build: Builder, target: str, *, bits: int = 8, per_channel: bool = True) -> Case:
    """The case of `build` (module and example inputs) on `target`: all of it is one delegate.

    `bits` is 8 or 16, the width of activations.
    """
    found = partition(build, target, bits=bits, per_channel=per_channel)
    assert not found.left, f"operators not delegated: {found.left}"
    assert len(found.graphs) == 1, f"{len(found.graphs)} delegates"
    return compiled(found.graphs[0], target)


def partition(build: Builder, target: str, *, bits: int = 8, per_channel: bool = True) -> Partition:
    """What the Arm back end makes of `build` for NPUs of the target's kind: U55 and U65 share it."""
    kind = "ethos-u85" if "u85" in target else "ethos-u55"
    function = getattr(build, "func", build)
    arguments = (getattr(build, "args", ()), sorted(getattr(build, "keywords", {}).items()))
    making = [_source(part) for part in (function, _lower, _like, draw, run_reference)]
    key = repr((function.__qualname__, arguments, kind, bits, per_channel, making))
    return _stored(key, lambda _: _lower(build, kind, bits, per_channel))


def compiled(graph: Graph, target: str) -> Case:
    """`graph` compiled for `target`."""
    key = repr((target, hashlib.sha256(graph.tosa).hexdigest(), inspect.getsource(_compile)))
    delegate, listing = _stored(key, lambda listing: (_compile(graph.tosa, target), listing.text()))
    shapes = [math.prod(binding.shape) for binding in parse(delegate).outputs]
    assert shapes == [output.size for output in graph.outputs[0]], "Vela lost or reordered outputs"
    return Case(target, delegate, listing, graph.inputs, graph.outputs)


def _source(function: Any) -> str:
    """The text of what makes a module: of a package of generators, all of it."""
    module = inspect.getmodule(function)
    if module is not None and hasattr(module, "__path__"):
        return "".join(file.read_text() for file in sorted(Path(module.__path__[0]).glob("*.py")))
    return inspect.getsource(function)


def _stored(key: str, make_value: Callable[["_Listing"], Any]) -> Any:
    versions = [importlib.metadata.version(name) for name in ("executorch", "ethos-u-vela", "tosa-tools")]
    path = _STORE / f"{hashlib.sha256(repr((key, versions)).encode()).hexdigest()[:24]}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    with _silence() as listing:
        value = make_value(listing)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(pickle.dumps(value))
    partial.rename(path)
    return value


def _compile(tosa: bytes, target: str) -> bytes:
    from executorch.backends.arm.arm_vela import vela_compile
    from executorch.backends.arm.ethosu import EthosUCompileSpec

    spec = EthosUCompileSpec(target, extra_flags=["--verbose-register-command-stream"])
    return vela_compile(tosa, spec.compiler_flags).processed_bytes  # type: ignore[no-any-return]


def _lower(build: Builder, kind: str, bits: int, per_channel: bool) -> Partition:
    import torch
    from executorch.backends.arm.arm_vela import VelaCompileResult
    from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner, backend
    from executorch.backends.arm.quantizer import (
        EthosUQuantizer,
        get_symmetric_a16w8_quantization_config,
        get_symmetric_quantization_config,
    )
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(11)
    module, example = build()
    module = module.eval()
    spec = EthosUCompileSpec(f"{kind}-256")
    quantizer = EthosUQuantizer(spec)
    configuration = (
        get_symmetric_a16w8_quantization_config if bits == 16 else get_symmetric_quantization_config
    )
    quantizer.set_global(configuration(is_per_channel=per_channel))
    prepared = prepare_pt2e(torch.export.export(module, example).module(check_guards=False), quantizer)
    with torch.no_grad():
        prepared(*example)
        for _ in range(4):
            prepared(*(_like(tensor) for tensor in example))
    exported = torch.export.export(convert_pt2e(prepared), example)
    found: list[bytes] = []

    def record(tosa: bytes, *_: Any, **__: Any) -> Any:
        found.append(tosa)
        return VelaCompileResult(b"")

    with mock.patch.object(backend, "vela_compile", record):
        lowered = to_edge_transform_and_lower(
            exported,
            partitioner=[EthosUPartitioner(spec)],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
    names = [node.name for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    left = [name for name in names if not name.startswith(("getitem", "executorch_call", *_BORDER))]
    whole = [tensor for tensor in example if not tensor.is_floating_point() and tensor.dtype != torch.bool]
    limits = (min(int(t.min()) for t in whole), max(int(t.max()) for t in whole)) if whole else None
    return Partition(tuple(_graph(tosa, limits) for tosa in found), tuple(left))


_BORDER = ("quantized_decomposed_quantize", "quantized_decomposed_dequantize")


def _graph(tosa: bytes, limits: tuple[int, int] | None) -> Graph:
    inputs = [draw(tosa, seed, limits) for seed in range(_RUNS)]
    return Graph(tosa, inputs, [run_reference(tosa, run) for run in inputs])


def _like(tensor: Any) -> Any:
    """The same values in another order."""
    import torch

    return tensor.flatten()[torch.randperm(tensor.numel())].reshape(tensor.shape)


def draw(tosa: bytes, seed: int, limits: tuple[int, int] | None) -> list[np.ndarray]:
    """Inputs over the whole range of their type; those of 32 bits over `limits`, or 16 of their bits."""
    generator = np.random.default_rng(seed)
    low, high = limits or (-(1 << 15), (1 << 15) - 1)
    ranges = {"bool": (0, 1), "int8": (-128, 127), "int16": (-(1 << 15), (1 << 15) - 1), "int32": (low, high)}
    drawn = []
    for shape, kind in graph_inputs(tosa):
        least, most = ranges[kind]
        drawn.append(generator.integers(least, most, shape, endpoint=True).astype(kind))
    return drawn


def run_reference(tosa: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of the TOSA reference model."""
    import tosa_reference_model as reference

    outputs, status = reference.run(tosa, inputs, initialize_variable_tensor_from_numpy=True)
    assert status == reference.GraphStatus.TOSA_VALID, status
    return [np.array(output) for output in outputs]


def graph_inputs(tosa: bytes) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and NumPy's types of the graph's inputs in order."""
    from tosa import DType, TosaGraph

    types = {getattr(DType.DType, name.upper()): name for name in ("bool", "int8", "int16", "int32")}
    graph = TosaGraph.TosaGraph.GetRootAs(tosa, 0)
    block = graph.Regions(0).Blocks(0)
    tensors = {block.Tensors(i).Name(): block.Tensors(i) for i in range(block.TensorsLength())}
    found = [tensors[block.Inputs(i)] for i in range(block.InputsLength())]
    return [(tuple(int(n) for n in one.ShapeAsNumpy()), types[one.Type()]) for one in found]


class _Listing:
    """What Vela printed while a case was made."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str:
        sys.stdout.flush()
        lines = self.path.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if line.startswith("0x"))


@contextlib.contextmanager
def _silence() -> Iterator[_Listing]:
    """Standard output and error of this process, those of its libraries too, into a file."""
    with tempfile.NamedTemporaryFile() as file:
        saved = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.redirect_stdout(
                io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), line_buffering=True)
            ):
                yield _Listing(Path(file.name))
        finally:
            sys.stdout.flush()
            for target, copy in enumerate(saved, 1):
                os.dup2(copy, target)
                os.close(copy)
