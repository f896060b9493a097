"""Exported programs as files between stages."""

import io
from pathlib import Path

import torch
from torch.export import ExportedProgram

from mcu_build.files import write_atomically
from mcu_build.lower.upstream.quiet import quick_files, quiet


def save(exported: ExportedProgram, file: Path) -> None:
    """Write a program. McuError where the disk has no room; torch itself does not say so."""
    archive = io.BytesIO()
    with quiet(), quick_files():
        torch.export.save(exported, archive)
    write_atomically(file, archive.getvalue())


def load_quantized(file: Path) -> ExportedProgram:
    """Read a quantized program that `save` wrote."""
    with quiet():
        # Registers the operators quantized_decomposed::* and our own, which loading looks up by name.
        import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401

        from mcu_build.lower.rewrite.masked_softmax import softmax_where

        softmax_where()
        with quick_files():
            return torch.export.load(file)
