"""A profile as notebooks show it: the page of the report."""

from dataclasses import dataclass, fields

from mcu_build.profile.measure import Profile
from mcu_build.report.page import fragment
from mcu_build.report.report import of_profile


@dataclass(frozen=True, repr=False)
class ShownProfile(Profile):
    """A profile with a page of its own."""

    @classmethod
    def of(cls, profile: Profile) -> "ShownProfile":
        """The same profile."""
        return cls(**{one.name: getattr(profile, one.name) for one in fields(profile)})

    def _repr_html_(self) -> str:
        return fragment(of_profile(self))
