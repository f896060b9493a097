"""What an image takes, for searches that choose between images (tune.py, tune_flash.py)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mcu_build.cache import Cache, hash_text


@dataclass(frozen=True)
class Price:
    """Bytes of flash and RAM, and modelled cycles where the board can be simulated."""

    flash: int
    ram: int
    cycles: int | None


@dataclass(frozen=True)
class Board:
    """What a search has to know of a board: a text that stands for all that an image depends on, and the
    price of the image with some `precision`."""

    key: str
    price: Callable[[Mapping[str, str]], Price]

    def kept(self, cache: Cache, model: str | None, wishes: Mapping[str, str]) -> Price:
        """The price from the cache, or from an image. `model` stands for all that the model depends on.

        McuError where there is no such image: what does not link is too large.
        """
        if model is None:
            return self.price(wishes)

        def produce(folder: Path) -> None:
            (folder / "price.json").write_text(json.dumps(asdict(self.price(wishes))))

        key = hash_text("price of flash and ram", model, self.key, json.dumps(list(wishes.items())))
        entry, _ = cache.get(key, produce)
        return Price(**json.loads((entry / "price.json").read_text()))
