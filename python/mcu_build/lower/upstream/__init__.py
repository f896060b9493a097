"""The edge to torch, torchao and executorch: what they print, and what they need not do."""
