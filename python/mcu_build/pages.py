"""The documentation's pages, as docs/index.md lists them."""

import re
from dataclasses import dataclass
from pathlib import Path

from mcu_build.errors import Exit, McuError
from mcu_build.resources import data_dir

_SECTION = re.compile(r"## (.+)")
_PAGE = re.compile(r"- \[(?P<title>[^]]+)\]\((?P<file>[^)]+)\)(?:: (?P<about>.+))?")


@dataclass(frozen=True)
class Page:
    """A page: its file in docs/, and a line on what it is about (may be empty)."""

    title: str
    file: str
    about: str

    @property
    def name(self) -> str:
        """As `mcu-build docs` calls it."""
        return self.file.removesuffix(".md")


@dataclass(frozen=True)
class Section:
    """Pages for one purpose."""

    title: str
    pages: tuple[Page, ...]


def sections() -> tuple[Section, ...]:
    """All pages, in the order of docs/index.md."""
    result: list[tuple[str, list[Page]]] = []
    for line in (docs_dir() / "index.md").read_text("utf-8").splitlines():
        if section := _SECTION.fullmatch(line):
            result.append((section[1], []))
        elif page := _PAGE.fullmatch(line):
            result[-1][1].append(Page(page["title"], page["file"], page["about"] or ""))
    return tuple(Section(title, tuple(pages)) for title, pages in result)


def docs_dir() -> Path:
    """The folder of the pages."""
    return data_dir() / "docs"


def read(name: str) -> str:
    """A page's Markdown. McuError (status 2) where there is none of this name."""
    import difflib

    names = {page.name: page for section in sections() for page in section.pages}
    page = names.get(name.removesuffix(".md"))
    if page is None:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else "`mcu-build docs` lists the pages."
        raise McuError(f"docs: there is no page {name!r}", hint, Exit.USAGE)
    return (docs_dir() / page.file).read_text("utf-8")
