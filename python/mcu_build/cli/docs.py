"""`mcu-build docs`: the documentation, without a network."""

import sys

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text


@click.command()
@click.argument("page", required=False)
@json_option
@debug_option
def command(page: str | None, as_json: bool, debug: bool) -> None:
    """List the pages of the documentation, or show one.

    On a terminal a page is laid out; elsewhere it is Markdown.
    """
    del debug
    from mcu_build.pages import docs_dir, read, sections

    if page is not None:
        text = read(page)
        if as_json:
            print_json({"page": page, "text": text})
        else:
            _show(text)
        return
    if as_json:
        listed = [{"section": part.title, **vars(page)} for part in sections() for page in part.pages]
        print_json({"folder": str(docs_dir()), "pages": listed})
        return
    for part in sections():
        print_text(f"{part.title}")
        for entry in part.pages:
            print_text(f"  {entry.name:<18} {entry.about or entry.title}")


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        print_text(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
