"""Channels that never matter are left out of a plan, with the weights that make and that read them.

A channel may go where every layer that reads it (a plain convolution or a linear layer) can do without: its
weights for the channel are all 0, or the channel is constant and its share of the sums goes into the bias.
Where a window reaches beyond the image, a constant other than the zero point adds less at the padding: such a
channel stays. The outputs are equal to the bit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from mcu_build.ir.channels import Mask, channels_of
from mcu_build.ir.plan import Plan, Removed, Step
from mcu_build.plan.simplify.coupled import Coupled, coupled_of
from mcu_build.plan.simplify.cut import without_channels
from mcu_build.plan.simplify.ranges import Ranges

# Kernels take channels by fours; a channel more costs them nothing then.
_TOGETHER = 4
# Each channel costs some microseconds here. Nets for microcontrollers have thousands.
_MOST_CHANNELS = 1 << 18
# A layer that keeps its channels may make a neighbour slower, which keeps its own then, and so on.
_MOST_ROUNDS = 8
# Modelled cycles of a step of a plan, where they are known.
Price = Callable[[Plan, Step], float | None]


def _unknown(plan: Plan, step: Step) -> None:
    return None


def remove_channels(plan: Plan, price: Price = _unknown) -> Plan:
    """The plan without channels that never matter, and which; itself where all do or very many are.

    A layer that would take longer without some, by its `price` before and after, keeps them. So do all where
    that does not settle.
    """
    if sum(channels_of(tensor) for tensor in plan.tensors.values()) > _MOST_CHANNELS:
        return plan
    ranges, coupled = Ranges(plan), Coupled(plan)
    kept = set(coupled.kept)
    for _ in range(_MOST_ROUNDS):
        gone = _removable(plan, ranges, coupled, kept)
        if not gone:
            return plan
        keep = {id: ~np.isin(groups, list(gone)) for id, groups in coupled.groups.items()}
        made = without_channels(plan, keep, ranges)
        needed = _of_slower(plan, made, coupled, price) & gone
        if not needed:
            return replace(made, removed=tuple(_removed(plan, made, keep)))
        kept |= needed
    return plan


def _of_slower(plan: Plan, made: Plan, coupled: Coupled, price: Price) -> set[int]:
    """The groups of channels that layers read and write which take longer as they were made."""
    slower: set[int] = set()
    for before, after in zip(plan.steps, made.steps, strict=True):
        if before is after:
            continue
        was, now = price(plan, before), price(made, after)
        if was is not None and now is not None and now > was:
            ends = (before.reads[0], before.writes[0])
            slower |= {int(group) for id in ends for group in coupled.groups[id]}
    return slower


def _removed(plan: Plan, made: Plan, keep: Mapping[int, Mask]) -> Iterator[Removed]:
    for before, after in zip(plan.steps, made.steps, strict=True):
        was, now = before.call.weight_operand, after.call.weight_operand
        if before is after or was is None or now is None:
            continue
        kept = keep[before.writes[0]]
        yield Removed(
            before.operator,
            before.layer,
            int((~kept).sum()),
            len(kept),
            plan.tensors[was].nbytes - made.tensors[now].nbytes,
            before.macs - after.macs,
            before.name,
        )


def _removable(plan: Plan, ranges: Ranges, coupled: Coupled, candidates: set[int]) -> set[int]:
    """The groups of channels that go, none of those `given`."""
    kept = set(candidates)
    while True:
        gone = _unneeded(plan, ranges, coupled, kept)
        back = _kept_back(coupled, gone)
        if not back:
            return gone
        kept |= back


def _unneeded(plan: Plan, ranges: Ranges, coupled: Coupled, kept: set[int]) -> set[int]:
    """All groups but `kept` that every reader can do without.

    A channel that is read only for channels that go goes too, so readers are asked until nothing changes.
    """
    readers = [step for step in plan.steps if coupled_of(plan, step) == []]
    everything = {group for groups in coupled.groups.values() for group in groups.tolist()}
    gone: set[int] = set()
    while True:
        needed = set(kept)
        for step in readers:
            needed |= _needed(ranges, coupled, step, gone)
        unneeded = everything - needed
        if unneeded == gone:
            return gone
        gone = unneeded


def _needed(ranges: Ranges, coupled: Coupled, step: Step, gone: set[int]) -> set[int]:
    """The groups that a reader cannot do without when its outputs in `gone` are left out."""
    written = ~np.isin(coupled.groups[step.writes[0]], list(gone))
    groups = coupled.groups[step.reads[0]]
    needed = step.call.needed_channels(ranges, written)
    return {*(groups if needed is None else groups[needed]).tolist()}


def _kept_back(coupled: Coupled, gone: set[int]) -> set[int]:
    """Groups to keep all the same: so that channels go by fours, and that no tensor loses all of them."""
    places: dict[int, set[int]] = {group: set() for group in gone}
    for id, groups in coupled.groups.items():
        for group in {*groups.tolist()} & gone:
            places[group].add(id)
    together: dict[frozenset[int], list[int]] = {}
    for group in sorted(gone):
        together.setdefault(frozenset(places[group]), []).append(group)
    back = {group for groups in together.values() for group in groups[: len(groups) % _TOGETHER]}
    for groups in coupled.groups.values():
        if {*groups.tolist()} <= gone - back:
            back |= {int(group) for group in groups[:_TOGETHER]}
    return back
