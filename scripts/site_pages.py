"""A hook of mkdocs: the site's pages are those that docs/index.md lists, in its sections."""

from typing import Any

from mcu_build.pages import sections


def on_config(config: Any) -> Any:
    """The navigation, where mkdocs would list files by name."""
    listed = [{part.title: [{page.title: page.file} for page in part.pages]} for part in sections()]
    config.nav = [{"Overview": "index.md"}, *listed]
    return config
