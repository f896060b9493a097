"""What stands between dequantize and quantize becomes one integer operator."""
