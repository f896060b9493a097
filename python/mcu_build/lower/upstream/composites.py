"""What torch finds out about composite operators in a decomposition, remembered for the next one.

`run_decompositions` searches all operators for composite ones, twice, registers a dozen kernels for each of
some 560 to keep them whole, and takes these back at its end: a sixth of the time that lowering a small model
takes. The kernels depend on the operator alone, and which are composite changes only with a new operator.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch._ops import OpOverload

_COMPOSITE: Any = torch._C.DispatchKey.CompositeImplicitAutograd
_NAME, _SEARCH = "_override_composite_implicit_decomp", "_collect_all_valid_cia_ops"


@dataclass(frozen=True)
class _Override:
    """An operator's kernels and its rule for fake tensors: before it was overridden, and then."""

    kernels_before: Mapping[Any, Any]
    rule_before: Any
    kernels: Mapping[Any, Any]
    rule: Any

    def fits(self, operator: Any) -> bool:
        """Whether the operator is as it was before."""
        rule = _fake_rules().get(operator)
        return operator.py_kernels == self.kernels_before and rule is self.rule_before

    def install(self, operator: Any, decomposition: Callable[..., Any]) -> None:
        operator.py_kernels.update(self.kernels)
        operator.py_kernels[_COMPOSITE] = decomposition
        operator._dispatch_cache.clear()
        _fake_rules()[operator] = self.rule

    def remove(self, operator: Any) -> None:
        operator.py_kernels.clear()
        operator.py_kernels.update(self.kernels_before)
        operator._dispatch_cache.clear()
        _fake_rules().pop(operator, None)


def _fake_rules() -> dict[Any, Any]:
    from torch._subclasses.fake_impls import op_implementations_dict

    rules: dict[Any, Any] = op_implementations_dict
    return rules


_overrides: dict[OpOverload, _Override] = {}


@contextlib.contextmanager
def composites_remembered() -> Iterator[None]:
    """Decompositions inside the block find what earlier ones have found and registered."""
    from torch.export import decomp_utils, exported_program

    owner: Any = exported_program
    usual, search = getattr(owner, _NAME), getattr(owner, _SEARCH)
    setattr(owner, _NAME, lambda decompositions: _overridden(usual, decompositions))
    for module in (exported_program, decomp_utils):
        setattr(module, _SEARCH, lambda: _composites(search, *_operators()))
    try:
        yield
    finally:
        setattr(owner, _NAME, usual)
        for module in (exported_program, decomp_utils):
            setattr(module, _SEARCH, search)


def _operators() -> tuple[Any, ...]:
    """What a search depends on: namespaces that are in use, and composite operators of all."""
    named = torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd")
    return tuple(torch.ops._dir), tuple(named)


@lru_cache(maxsize=1)
def _composites(search: Callable[[], set[Any]], *operators: Any) -> set[Any]:
    return search()


@contextlib.contextmanager
def _overridden(usual: Any, decompositions: Mapping[OpOverload, Callable[..., Any]]) -> Iterator[None]:
    known = {
        op: replacement
        for op in decompositions
        if (replacement := _overrides.get(op)) and replacement.fits(op)
    }
    others = {op: decomposition for op, decomposition in decompositions.items() if op not in known}
    before = {op: (dict(op.py_kernels), _fake_rules().get(op)) for op in others}
    with usual(others):
        for op in others:
            _overrides[op] = _Override(*before[op], dict(op.py_kernels), _fake_rules().get(op))
        for op, override in known.items():
            override.install(op, decompositions[op])
        try:
            yield
        finally:
            for op, override in known.items():
                override.remove(op)
