"""What an inference costs: executed instructions, by layer, by kernel, by function, and by kind."""
