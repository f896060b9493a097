"""How often Python looks for garbage: seldom, since libraries and graphs are many small objects that stay."""

import gc

# Allocations between searches, and how seldom older objects are searched. Usual: 700, 10, 10.
_SELDOM = (50_000, 20, 10)


def search_seldom() -> tuple[int, int, int]:
    """From now on. What was usual before is returned, for `gc.set_threshold`."""
    usual = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    return usual
