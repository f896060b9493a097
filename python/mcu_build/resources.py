"""Where the files that are not Python lie: firmware/, boards/, toolchains/, cmake/."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir() -> Path:
    """The folder that holds firmware/, boards/, toolchains/ and cmake/.

    A wheel carries them inside the package; in a source checkout they are the top level.
    """
    installed = _PACKAGE / "data"
    return installed if installed.is_dir() else _PACKAGE.parents[1]
