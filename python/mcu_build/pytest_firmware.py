"""What the fixture `mcu` of the pytest plugin is: firmware built once, whose consoles are kept."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcu_build.api import TIMEOUT, Firmware, Run, build
from mcu_build.cache import hash_text
from mcu_build.flash.via import Via
from mcu_build.fronts.project import resolve, settled
from mcu_build.simulate.run import Sim
from mcu_build.vectors.npz import Array
from mcu_build.verify.prove import Proof


@dataclass(frozen=True)
class Console:
    """What firmware printed in a run; `firmware` names the model and the board."""

    firmware: str
    text: str


@dataclass(frozen=True, repr=False)
class HeardFirmware(Firmware):
    """Firmware that adds what it prints to `consoles`."""

    consoles: list[Console]

    def execute(
        self,
        inputs: Sequence[Array] | None = None,
        *,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
        via: Via | None = None,
    ) -> Run:
        """As Firmware.execute."""
        run = super().execute(inputs, timeout=timeout, sim=sim, via=via)
        self._heard(run.outcome.console)
        return run

    def prove(
        self,
        vectors: int | None = None,
        *,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
        via: Via | None = None,
    ) -> Proof:
        """As Firmware.prove."""
        proof = super().prove(vectors, timeout=timeout, sim=sim, via=via)
        self._heard(proof.outcome.console)
        return proof

    def _heard(self, text: str) -> None:
        self.consoles.append(Console(f"{self.manifest.name} on {self.board.id}", text))


@dataclass(frozen=True, eq=False)
class Mcu:
    """Builds firmware for `board`. Several boards give several tests, each with its own Mcu."""

    board: str
    root: Path
    build_root: Path = field(repr=False)
    consoles: list[Console] = field(repr=False)

    def build(self, model: str | Path, **options: Any) -> Firmware:
        """The firmware of a model, built once in a session. A relative path begins at pytest's rootdir.

        A model may be called by its name in the project file. `options`, what is returned and what is raised
        are those of mcu_build.build; what is not given is that of MCU_..., else of the file.
        """
        file = resolve(self.root / model, self.root)
        return self._built(file, tuple(sorted(options.items())))

    @functools.cache  # noqa: B019 - an Mcu lives as long as the session.
    def _built(self, model: Path, options: tuple[tuple[str, Any], ...]) -> Firmware:
        # Models of one name must not share a folder.
        folder = self.build_root / hash_text(str(model))[:12]
        settings = {"board": self.board, "build_dir": folder, **dict(options)}
        made = build(model, **{**settled(model, settings), "board": self.board})
        return HeardFirmware(made.built, made.board, made.progress, self.consoles)
