"""Kernels for cores without DSP instructions, emitted for their layers."""
