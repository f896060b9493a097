"""A functional model of the Ethos-U NPU, exact to the bit."""
