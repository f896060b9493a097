"""Run an image where there is no board."""
