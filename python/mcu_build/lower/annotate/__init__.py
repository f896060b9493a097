"""Which operators become int8, int16 or int4, and which tensors share a scale."""
