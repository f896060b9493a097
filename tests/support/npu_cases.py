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

import numpy as np

from mcu_build.npu.payload import Payload, parse
from mcu_build.program import DelegateCall
from mcu_build.program import parse as parse_program

_STORE = Path(__file__).parents[2] / "build" / "npu-cases"
_RUNS = 3

Builder = Callable[[], tuple[Any, tuple[Any, ...]]]


@dataclass(frozen=True)
class Case:
    """A delegate, Vela's listing of its stream, and the reference model's outputs for inputs[run]."""

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


def make(build: Builder, target: str, *, bits: int = 8, per_channel: bool = True, flags: str = "") -> Case:
    """The case of `build` (module and example inputs, seeded by its own name) on `target`.

    `bits` is 8 or 16, the width of activations.
    """
    key = _key(build, target, bits, per_channel, flags)
    path = _STORE / f"{key}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())
    with _silence() as listing:
        case = _lower(build, target, bits, per_channel, flags, listing)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(pickle.dumps(case))
    partial.rename(path)
    return case


def _key(build: Builder, *options: Any) -> str:
    versions = [importlib.metadata.version(name) for name in ("executorch", "ethos-u-vela", "tosa-tools")]
    function = getattr(build, "func", build)
    arguments = (getattr(build, "args", ()), sorted(getattr(build, "keywords", {}).items()))
    making = [inspect.getsource(part) for part in (function, _lower, draw, run_reference)]
    identity = repr((function.__qualname__, arguments, options, versions, making))
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def _lower(
    build: Builder, target: str, bits: int, per_channel: bool, flags: str, listing: "_Listing"
) -> Case:
    import torch
    from executorch.backends.arm.ethosu import EthosUCompileSpec, EthosUPartitioner
    from executorch.backends.arm.quantizer import (
        EthosUQuantizer,
        get_symmetric_a16w8_quantization_config,
        get_symmetric_quantization_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(11)
    module, example = build()
    module = module.eval()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--verbose-register-command-stream", *flags.split()]
        spec = EthosUCompileSpec(target, extra_flags=options)
        spec.dump_intermediate_artifacts_to(folder)
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
        converted = convert_pt2e(prepared)
        lowered = to_edge_transform_and_lower(
            torch.export.export(converted, example), partitioner=[EthosUPartitioner(spec)]
        )
        program = parse_program(lowered.to_executorch().buffer)
        delegates = [call for call in program.instructions if isinstance(call, DelegateCall)]
        assert len(delegates) == 1, f"{len(delegates)} delegates; operators left: {program.operators}"
        left = [name for name in program.operators if "quantize" not in name]
        assert not left, f"operators not delegated: {left}"
        tosa = Path(folder, "out.tosa").read_bytes()
    delegate = program.delegates[delegates[0].delegate].payload
    inputs = [draw(parse(delegate), seed) for seed in range(_RUNS)]
    outputs = [run_reference(tosa, run) for run in inputs]
    shapes = [math.prod(binding.shape) for binding in parse(delegate).outputs]
    assert shapes == [output.size for output in outputs[0]], "Vela lost or reordered outputs"
    return Case(target, delegate, listing.text(), inputs, outputs)


def _like(tensor: Any) -> Any:
    import torch

    return torch.randn_like(tensor) if tensor.is_floating_point() else tensor


def draw(payload: Payload, seed: int) -> list[np.ndarray]:
    """Inputs over the whole range of their type (32 bits: over 16 of them)."""
    generator = np.random.default_rng(seed)
    ranges = {1: (np.int8, 7), 2: (np.int16, 15), 4: (np.int32, 15)}
    drawn = []
    for binding in payload.inputs:
        kind, bits = ranges[binding.element_size]
        drawn.append(generator.integers(-(1 << bits), 1 << bits, binding.shape).astype(kind))
    return drawn


def run_reference(tosa: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of the TOSA reference model; inputs take the shapes that the graph gives them."""
    import tosa_reference_model as reference

    shaped = [array.reshape(shape) for array, shape in zip(inputs, input_shapes(tosa), strict=True)]
    outputs, status = reference.run(tosa, shaped, initialize_variable_tensor_from_numpy=True)
    assert status == reference.GraphStatus.TOSA_VALID, status
    return [np.array(output) for output in outputs]


def input_shapes(tosa: bytes) -> list[tuple[int, ...]]:
    """Shapes of the graph's inputs in order."""
    from tosa import TosaGraph

    graph = TosaGraph.TosaGraph.GetRootAs(tosa, 0)
    block = graph.Regions(0).Blocks(0)
    tensors = {block.Tensors(i).Name(): block.Tensors(i) for i in range(block.TensorsLength())}
    names = [block.Inputs(i) for i in range(block.InputsLength())]
    return [tuple(int(n) for n in tensors[name].ShapeAsNumpy()) for name in names]


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
