"""Plan + Board → text. Pure functions."""
