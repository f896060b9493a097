"""The host as a board: the image is a program."""

from pathlib import Path


def command(image: Path) -> list[str | Path]:
    """The command that runs `image`."""
    return [image]
