"""Names that torch gives to what it adds to a module, found without trying all names that are taken."""

import weakref
from collections import Counter
from collections.abc import Callable

from torch import nn


def new_names() -> Callable[[str], Callable[[nn.Module], str]]:
    """In place of torch's `get_new_attr_name_with_prefix`, which counts from zero for each observer."""
    used: weakref.WeakKeyDictionary[nn.Module, Counter[str]] = weakref.WeakKeyDictionary()

    def with_prefix(prefix: str) -> Callable[[nn.Module], str]:
        prefix = prefix.replace(".", "_")

        def name(module: nn.Module) -> str:
            counts = used.setdefault(module, Counter())
            while hasattr(module, f"{prefix}{counts[prefix]}"):
                counts[prefix] += 1
            return f"{prefix}{counts[prefix]}"

        return name

    return with_prefix


def is_call_name(name: str, base: str) -> bool:
    """Whether `name` is `base`, or `base@2` of a later call; torch makes a regular expression each time."""
    return name == base or (name.startswith(f"{base}@") and name[len(base) + 1 :].isdigit())
