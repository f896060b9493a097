"""Which tensor lies where: in place, in which memory, and what is copied ahead."""
