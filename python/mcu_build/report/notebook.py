"""Measures as notebooks show them: each is the page of the report about it."""

from dataclasses import fields
from typing import Any, Self

from mcu_build.image.size import Size
from mcu_build.profile.measure import Profile
from mcu_build.report.page import fragment
from mcu_build.report.report import of_profile, of_size


class _Shown:
    @classmethod
    def of(cls, measure: Any) -> Self:
        """The same measure, with a page of its own."""
        return cls(**{field.name: getattr(measure, field.name) for field in fields(measure)})


class ShownProfile(_Shown, Profile):
    """A profile with a page of its own."""

    def _repr_html_(self) -> str:
        return fragment(of_profile(self))


class ShownSize(_Shown, Size):
    """An image's size with a page of its own."""

    def _repr_html_(self) -> str:
        return fragment(of_size(self))
