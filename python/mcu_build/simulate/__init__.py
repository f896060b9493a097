"""Run an image where there is no board."""

from mcu_build.simulate.outcome import Outcome
from mcu_build.simulate.run import run

__all__ = ["Outcome", "run"]
