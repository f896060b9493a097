"""How stages are reported: in time, in steps, with warnings."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass
class Mark:
    """Set by the stage itself: whether its result was in the cache."""

    cached: bool = False


class Progress(Protocol):
    """Where stages are reported."""

    def stage(self, name: str) -> AbstractContextManager[Mark]:
        """Time one stage."""

    def step(self, text: str) -> None:
        """Tell what the stage that runs is doing: it is shown while it runs long, and forgotten."""

    def warn(self, text: str) -> None:
        """Tell the user something that should not be overlooked."""


class Silent:
    """Progress of what nobody waits for."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Mark]:
        """Nothing is shown."""
        del name
        yield Mark()

    def step(self, text: str) -> None:
        """Nothing is shown."""

    def warn(self, text: str) -> None:
        """Nothing is shown."""
