"""Chains of layers that run row by row, so that what lies between them is a few rows instead of an image."""
