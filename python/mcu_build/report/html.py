"""A profile as one HTML page that loads nothing: bars as wide as their share of the instructions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_build.profile.decode import Kind
from mcu_build.profile.measure import Cost, Profile
from mcu_build.report.npu import estimates, layer_rows
from mcu_build.report.removed import sentence

_TEMPLATE = Path(__file__).with_name("profile.html")


@dataclass(frozen=True)
class _Box:
    """A part of a bar: `share` is its width in per cent of the whole inference."""

    label: str
    title: str
    share: float
    hue: int


def page(profile: Profile) -> str:
    """The page: the inference above its kernels, those above their layers, those above their instructions."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text()).render(
        profile=profile,
        rows=[
            [_box(profile, "one inference", profile.total, profile.macs, 0)],
            list(_kernels(profile)),
            list(_layers(profile)),
            list(_kinds(profile)),
        ],
        kinds=list(Kind),
        npu_estimates=estimates(profile.npu) if profile.npu else [],
        removed=sentence(profile.removed) if profile.removed else "",
        npu_rows=layer_rows(profile.npu) if profile.npu else [],
    )


def _hue(profile: Profile, kernel: str) -> int:
    """A colour for each kernel, in the order of what they cost."""
    names = [one.name for one in profile.kernels]
    # Multiples of the golden angle: neighbours differ, however many there are.
    return round(20 + 137.508 * names.index(kernel)) % 360


def _box(profile: Profile, label: str, cost: Cost, macs: int, hue: int) -> _Box:
    total = profile.total.instructions
    lines = [f"{label}: {cost.instructions:,} instructions, {100 * cost.instructions / total:.1f} %"]
    if macs:
        lines.append(f"{macs:,} MACs, {cost.instructions / macs:.3f} instructions each")
    if cost.cycles is not None:
        lines.append(f"{cost.cycles:,} cycles, modelled")
    return _Box(label, "\n".join(lines), 100 * cost.instructions / total, hue)


def _kernels(profile: Profile) -> Iterator[_Box]:
    for kernel in profile.kernels:
        yield _box(profile, kernel.name, kernel.cost, kernel.macs, _hue(profile, kernel.name))


def _layers(profile: Profile) -> Iterator[_Box]:
    """Layers below their kernels."""
    for kernel in profile.kernels:
        for layer in profile.layers:
            if layer.kernel == kernel.name:
                label = f"{layer.index} {layer.label}"
                yield _box(profile, label, layer.cost, layer.macs, _hue(profile, kernel.name))


def _kinds(profile: Profile) -> Iterator[_Box]:
    """The instructions of each layer by kind, below it."""
    total, kinds = profile.total.instructions, list(Kind)
    for kernel in profile.kernels:
        for layer in profile.layers:
            if layer.kernel != kernel.name:
                continue
            for kind, count in layer.cost.kinds.items():
                share = 100 * count / total
                title = f"layer {layer.index}: {kind.value}: {count:,} instructions, {share:.1f} % of all"
                yield _Box(kind.value, title, share, 360 * kinds.index(kind) // len(kinds))
