"""The edge to torch, torchao and executorch: what they say on the side, kept from the user."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Run upstream code without its warnings and prints; logged errors and exceptions pass.

    They warn about extensions for other machines, their own deprecations, and patterns that later passes
    handle; their prints would land in the middle of a command's JSON.
    """
    disabled = logging.root.manager.disable
    printed = io.StringIO()
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
    if printed.getvalue():
        _log.debug("upstream printed: %s", printed.getvalue())
