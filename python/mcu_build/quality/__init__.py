"""How good a quantized program is: decibels, metrics, the verdict in words."""
