"""Linked images: sections, symbols, instructions, stack, and where flash and RAM go."""
