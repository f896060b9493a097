"""HTML pages held against what is promised of them."""

from html.parser import HTMLParser

_VOID = frozenset({"meta", "rect", "line", "circle", "path"})


class Tags(HTMLParser):
    """Balanced tags, and every address that a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.loads += [str(value) for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attributes if name in ("src", "href", "srcset")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
