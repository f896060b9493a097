"""The edge to torch, torchao and executorch: what they say on the side, kept from the user."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

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
    logging.disable(max(disabled, logging.ERROR))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
    if printed.getvalue():
        _log.debug("upstream printed: %s", printed.getvalue())


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

    _Emitter._emit_delegate = emit
    try:
        yield
    finally:
        _Emitter._emit_delegate = original
