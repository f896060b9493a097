"""From a PyTorch model to tested firmware on a microcontroller."""

__version__ = "0.1.0"
