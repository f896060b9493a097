"""From a program over whole recordings to one that is called with a hop of samples at a time."""

from mcu_build.frontend.stream.rewrite import Streamed, check_stream, to_stream
from mcu_build.frontend.stream.timeline import Ahead

__all__ = ["Ahead", "Streamed", "check_stream", "to_stream"]
