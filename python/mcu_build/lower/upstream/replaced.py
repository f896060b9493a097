"""Something of somebody else's in another form for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let `owner` have `value` under `name`."""
    missing = object()
    usual = vars(owner).get(name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if usual is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, usual)
