"""The edge to torch, torchao and executorch: what they say on the side, kept from the user."""

import contextlib
import functools
import gc
import importlib
import io
import logging
import typing
import warnings
from collections.abc import Iterator
from typing import Any

from mcu_build.garbage import search_seldom
from mcu_build.lower.upstream.composites import composites_remembered
from mcu_build.lower.upstream.idle_passes import idle_passes_skipped
from mcu_build.lower.upstream.late_code import code_when_called
from mcu_build.lower.upstream.replaced import replaced

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Run upstream code without its warnings, logs and prints; exceptions pass.

    They warn about extensions for other machines, their own deprecations, and patterns that later passes
    handle; what they log as an error they raise as well. Their prints would land in the middle of a command's
    JSON.
    """
    disabled = logging.root.manager.disable
    printed = io.StringIO()
    # Not again in a block inside: each change has all loggers look up their levels anew.
    if disabled < logging.ERROR:
        logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            yield
    finally:
        if disabled < logging.ERROR:
            logging.disable(disabled)
    if printed.getvalue():
        _log.debug("upstream printed: %s", printed.getvalue())


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Run upstream passes in less time: on one thread, and without work that is done again for every node.

    Each pass copies the history of each node, which grows with the passes: here histories are shared, for
    nothing writes to them; passes without anything to do are left out. The serializers resolve the type hints
    of a class for each of its objects. Recurrent layers are traced without their steps.
    What torch has found out about composite operators is kept. Garbage is looked for seldom. Graphs
    become Python code when they are called. New names are not searched among those that are taken.
    Fake tensors and folded constants are small: threads would only wait for each other on a loaded machine.
    """
    import torch
    from executorch.exir._serialize import _dataclass, _flatbuffer_program
    from torch.ao.quantization.fx import prepare as observers
    from torch.fx.traceback import NodeSource

    from mcu_build.lower.rewrite.recurrent_shapes import recurrent_shapes
    from mcu_build.lower.upstream.new_names import is_call_name, new_names

    threads, hints = torch.get_num_threads(), functools.cache(typing.get_type_hints)
    with contextlib.ExitStack() as stack:
        for module in (_dataclass, _flatbuffer_program):
            stack.enter_context(replaced(module, "get_type_hints", hints))
        stack.enter_context(replaced(NodeSource, "__deepcopy__", lambda source, memo: source))
        stack.enter_context(replaced(observers, "get_new_attr_name_with_prefix", new_names()))
        # `torch.export.unflatten` is a function of that module.
        modules = importlib.import_module("torch.export.unflatten")
        stack.enter_context(replaced(modules, "_is_call_name", is_call_name))
        stack.callback(gc.set_threshold, *search_seldom())
        stack.enter_context(idle_passes_skipped())
        stack.enter_context(code_when_called())
        stack.enter_context(composites_remembered())
        stack.enter_context(recurrent_shapes())
        torch.set_num_threads(1)
        stack.callback(torch.set_num_threads, threads)
        yield


@contextlib.contextmanager
def without_training() -> Iterator[None]:
    """Convert a model that was observed and not trained.

    For a graph with a batch norm, torchao traces 96 patterns of layers in training, which takes seconds.
    """
    from torchao.quantization.pt2e import quantize_pt2e

    with replaced(quantize_pt2e, "_fold_conv_bn_qat", lambda module: module):
        yield


@contextlib.contextmanager
def quick_files() -> Iterator[None]:
    """Save and load exported programs in less time: the type hints of each class are resolved once.

    Saving makes a second, canonical form of a program, to see whether it can, and drops it: not here.
    """
    from torch._export.serde import schema, serialize

    usual = typing.get_type_hints
    cached = functools.cache(lambda kind: usual(kind, globalns=vars(schema)))

    def hints(kind: Any, globalns: Any = None, **rest: Any) -> Any:
        return cached(kind) if globalns is vars(schema) and not rest else usual(kind, globalns, **rest)

    with (
        replaced(typing, "get_type_hints", hints),
        replaced(serialize, "canonicalize", lambda program, constants=None: program),
    ):
        yield


@contextlib.contextmanager
def lines_of_delegates() -> Iterator[None]:
    """Emit programs with delegates and the lines of the model.

    The emitter of executorch 1.5.1 notes a line for every operator and none for a delegate, and refuses the
    first operator after one because their numbers differ.
    """
    from executorch.exir.emit._emitter import _Emitter
    from executorch.exir.print_program import _stacktrace_to_framelist

    original = _Emitter._emit_delegate

    def emit(emitter: Any, *arguments: Any) -> Any:
        value = original(emitter, *arguments)
        if emitter.emitter_state.emit_stacktrace:
            lines = _stacktrace_to_framelist(emitter.node.meta.get("stack_trace") or "")
            emitter.chain.stacktrace = [*(emitter.chain.stacktrace or []), lines]
        return value

    with replaced(_Emitter, "_emit_delegate", emit):
        yield
