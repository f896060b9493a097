"""The key that programs for program slots are signed with: Ed25519 (RFC 8032)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mcu_build.errors import Exit, McuError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_BYTES = 64
_HINT = "`openssl genpkey -algorithm ed25519 -out key.pem` makes a key."


@dataclass(frozen=True)
class ProgramKey:
    """A private key; `public` is the other half, 32 bytes in hexadecimal digits, which firmware holds."""

    public: str
    private: "Ed25519PrivateKey" = field(repr=False, compare=False)

    def sign(self, data: bytes) -> bytes:
        """The signature of `data`: 64 bytes, the same each time."""
        return self.private.sign(data)


def read_key(file: Path, option: str) -> ProgramKey:
    """The key in a PEM file. McuError (status 2), with the `option`'s name: there is none of this kind."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise McuError(f"{option}: {file}: {error.strerror or error}", _HINT, Exit.USAGE) from None
    except TypeError:
        hint = f"`openssl pkey -in {file} -out plain.pem` decrypts it."
        raise McuError(f"{option}: {file}: the key is encrypted", hint, Exit.USAGE) from None
    except (ValueError, UnsupportedAlgorithm):
        raise McuError(f"{option}: {file}: no private key in PEM format", _HINT, Exit.USAGE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise McuError(f"{option}: {file}: the key is not an Ed25519 key", _HINT, Exit.USAGE)
    return ProgramKey(key.public_key().public_bytes_raw().hex(), key)
