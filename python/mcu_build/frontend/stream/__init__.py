"""From a program over whole recordings to one that is called with a hop of samples at a time."""

from mcu_build.frontend.stream.rewrite import Streamed, to_stream
from mcu_build.frontend.stream.timeline import Ahead

__all__ = ["Ahead", "Streamed", "to_stream"]
