"""MCUboot in tests: a board with slots for image and model, keys, and imgtool, which signs and checks."""

from pathlib import Path

from click.testing import CliRunner, Result
from imgtool.main import imgtool as command

BOARD = """
extends = "netduinoplus2"
[mcuboot]
slot = 0x08020000
size = "384K"
model_slot = 0x080C0000
model_size = "128K"
"""


def imgtool(*words: object) -> Result:
    """Run `imgtool words...` in this process."""
    return CliRunner().invoke(command, [str(word) for word in words])


def new_key(file: Path) -> Path:
    """A key to sign with."""
    made = imgtool("keygen", "-t", "ecdsa-p256", "-k", file)
    assert made.exit_code == 0, made.output
    return file


def is_signed(image: Path | str, key: Path) -> bool:
    """Whether an image is signed with a key."""
    return imgtool("verify", "-k", key, image).exit_code == 0
