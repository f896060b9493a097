"""The documentation: every page is listed, no link is dead, commands exist, and the command shows it."""

import difflib
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest

from mcu_build import process
from mcu_build.cli import VERBS, cli
from mcu_build.pages import docs_dir, sections
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
LISTED = [page.file for section in sections() for page in section.pages]


def site(root: Path, folder: Path) -> process.Finished:
    """What mkdocs says of the site of `root`; a warning is an error."""
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", root / "mkdocs.yml"]
    paths = {"PYTHONPATH": str(ROOT / "python"), "NO_MKDOCS_2_WARNING": "1"}
    return process.run([*words, "--site-dir", folder], env={**os.environ, **paths})


def test_every_page_is_listed_once():
    there = sorted(file.name for file in docs_dir().glob("*.md") if file.name != "index.md")
    assert sorted(LISTED) == there


def test_the_site_has_no_dead_links_and_loads_nothing_from_elsewhere(tmp_path):
    made = site(ROOT, tmp_path)
    assert made.status == 0, made.stderr
    for file in LISTED:
        text = (tmp_path / file.replace(".md", ".html")).read_text()
        assert 'src="http' not in text and 'rel="stylesheet" href="http' not in text


@pytest.mark.parametrize("link", ["no-such-page.md", "command.md#no-such-part"])
def test_a_dead_link_is_found(link, tmp_path):
    for name in ("mkdocs.yml", "scripts/site_pages.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "ci.md").open("a") as page:
        page.write(f"\n[dead]({link})\n")
    made = site(tmp_path, tmp_path / "site")
    assert made.status != 0
    assert link.partition("#")[2] in made.stderr and "ci.md" in made.stderr


def commands(text: str) -> list[list[str]]:
    """The words of each call of mcu-build in the blocks of code of a page."""
    lines = re.findall(r"^    (?:\$ )?mcu-build (.+?)(?:  #.*)?$", text, re.MULTILINE)
    return [shlex.split(line.partition(" |")[0], comments=True) for line in lines]


def unknown(words: list[str]) -> list[str]:
    """What a call names that the command does not have: its verb, or options."""
    verb = words[0] if words[0] in VERBS else "build"
    if (
        words[0][0] != "-" and words[0] != verb and difflib.get_close_matches(words[0], VERBS)
    ):  # else a model of a project file
        return words[:1]
    options = [word for word in words if word.startswith("-") and word != "--"]
    command = cli.get_command(click.Context(cli), verb)
    there = {
        "--help",
        "-h",
        "--version",
        "-V",
        *(name for parameter in _parameters(command) for name in parameter.opts),
    }
    return [word for word in options if word.partition("=")[0] not in there]


def _parameters(command: click.Command) -> list[click.Parameter]:
    inner = getattr(command, "commands", {}).values()
    return [*command.params, *(parameter for verb in inner for parameter in verb.params)]


@pytest.mark.parametrize("file", ["../README.md", *LISTED])
def test_pages_call_verbs_and_options_that_there_are(file):
    calls = {" ".join(words): unknown(words) for words in commands((docs_dir() / file).read_text())}
    assert not {words: wrong for words, wrong in calls.items() if wrong}


def test_calls_that_cannot_be_are_found():
    text = "    mcu-build biuld model.py\n    $ mcu-build test --boards x model.py  # a comment\n"
    assert [unknown(words) for words in commands(text)] == [["biuld"], ["--boards"]]


def test_the_command_lists_and_shows_pages():
    assert {page["file"] for page in mcu_build("docs", "--json").json["pages"]} == set(LISTED)
    listed = mcu_build("docs").out
    assert all(page.removesuffix(".md") in listed for page in LISTED)
    shown = mcu_build("docs", "does-not-fit")
    assert shown.status == 0 and shown.out.startswith("# It does not fit\n")


def test_a_page_that_is_not_there_is_refused_with_the_nearest():
    result = mcu_build("docs", "does-not-fitt")
    assert result.status == 2
    assert "no page 'does-not-fitt'" in result.err and "Did you mean does-not-fit?" in result.err


# Figures of nets and images: "14,614", "5.5 s", "42.6 dB".
FIGURE = re.compile(r"\b\d+,\d{3}\b|\b\d+\.\d+ (?:dB|s|ms|%|instructions|cycles)\b")
DATED = re.compile(r"20\d\d|benchmarks/|scripts/update-docs")
# In a page's introduction: a date for all of it.
ALL_DATED = re.compile(r"All figures are of [A-Z][a-z]+ 20\d\d")


def undated(text: str) -> list[str]:
    """Figures in sections that name neither a year nor the script that measures them; code has examples."""
    introduction, *sections = re.split(r"^(?=##+ )", text, flags=re.MULTILINE)
    if ALL_DATED.search(introduction):
        return []
    parts = [part for part in (introduction, *sections) if not DATED.search(part)]
    plain = [re.sub(r"^    .*$|`[^`]*`", "", part, flags=re.MULTILINE) for part in parts]
    return [figure for part in plain for figure in FIGURE.findall(part)]


@pytest.mark.parametrize("file", ["../README.md", *LISTED])
def test_figures_are_dated_or_made_by_a_script(file):
    assert not undated((docs_dir() / file).read_text())


def test_a_figure_without_a_date_is_found():
    assert undated("A step takes 14,614 instructions, 42.6 dB.") == ["14,614", "42.6 dB"]
    assert not undated("A step takes 14,614 instructions (November 2026).")
    assert not undated("    used 14,614 bytes\n")
    # A date is that of its section, unless the introduction says that all figures have it.
    assert undated("# Page\nNovember 2026\n## Steps\nA step takes 14,614 instructions.\n") == ["14,614"]
    assert not undated("# Page\nAll figures are of November 2026.\n## Steps\n14,614 instructions.\n")


def test_readme_shows_the_report():
    """A small picture, which scripts/screenshot makes again."""
    shown = re.findall(r"!\[[^]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert shown == ["docs/images/report.webp"]
    picture = (ROOT / shown[0]).read_bytes()
    assert picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" and len(picture) < 150_000
    assert shown[0] in (ROOT / "scripts" / "screenshot").read_text()


def test_readme_lists_every_verb():
    rows = [line.split("|")[1] for line in (ROOT / "README.md").read_text().splitlines() if line[:3] == "| `"]
    assert set(VERBS) <= set(re.findall(r"`([a-z-]+)[ a-z]*`", " ".join(rows)))
