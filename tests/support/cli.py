"""Call the command as a user does, in this process."""

import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

from mcu_build.cli import main


@dataclass(frozen=True)
class Result:
    """What a command printed, and the status that it left with."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return json.loads(self.out)  # type: ignore[no-any-return]


def mcu_build(*words: object) -> Result:
    """Run `mcu-build words...`."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as leave:
            status = int(leave.code or 0)
    return Result(status, out.getvalue(), err.getvalue())
