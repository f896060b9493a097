"""How stages are reported: in time, in steps, with warnings."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


class Mark(Protocol):
    """What a stage says of itself."""

    cached: bool


class Progress(Protocol):
    """Where stages are reported."""

    def stage(self, name: str) -> AbstractContextManager[Mark]:
        """Time one stage."""

    def step(self, text: str) -> None:
        """Tell what the stage that runs is doing: it is shown while it runs long, and forgotten."""

    def warn(self, text: str) -> None:
        """Tell the user something that should not be overlooked."""


@dataclass
class _Unseen:
    cached: bool = False


class Silent:
    """Progress of what nobody waits for."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Mark]:
        """Nothing is shown."""
        del name
        yield _Unseen()

    def step(self, text: str) -> None:
        """Nothing is shown."""

    def warn(self, text: str) -> None:
        """Nothing is shown."""
