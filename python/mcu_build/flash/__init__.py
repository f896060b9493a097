"""Real boards: write an image, verify it, run it, and talk to it through a debug probe."""
