"""Firmware, command streams and programs compared with the oracle, and where they differ."""
