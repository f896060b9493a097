"""Program → Plan, and the passes over it."""
