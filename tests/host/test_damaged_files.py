"""Damaged programs, boards and saved exports: an error that names the file, soon and in little memory.

A failure names the number of its damage; `_damage(kind)` and that number make the file again.
"""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mcu_build.board import board_files, load_board
from mcu_build.codegen.cmake import board_files as cmake_files
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.model import generate
from mcu_build.errors import McuError
from mcu_build.frontend.capture import load_exported
from mcu_build.ir import program as programs
from mcu_build.plan.compile import Settings, compile_program
from tests.support.damage import damaged, damaged_archive, damaged_text, fields_read, limits
from tests.support.lowering import Function, take

# In every run; with --all MANY times as many.
PROGRAMS, BOARDS, EXPORTS, MANY = 2000, 1000, 500, 10
KERNEL_FOLDERS = (("reference",), ("mve", "reference"), ("dsp", "thumb", "reference"))


class Images(nn.Module):
    """Convolutions, pools, a join and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8, stride=2)
        self.scores = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.deep(F.max_pool2d(F.relu(self.wide(x)), 2))
        y = torch.cat([y, y * 0.5], 1).mean((2, 3))[:, :8]
        return F.softmax(self.scores(y), -1)


def _many_kinds(m: nn.Module, x: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Calls with lists, several outputs, optional arguments, integers and flags."""
    y = m.layer(x) + m.table(index)
    a, b = torch.split(y, 4, -1)
    values, places = torch.topk(a, 2)
    spread = torch.cumsum(b, 1).var(1, keepdim=True)
    chosen = torch.where(a > 0, a, b).clamp(-1, 1)
    return F.layer_norm(y, (8,)).transpose(1, 2), values, places, spread, chosen, F.pad(y, (1, 1)), y.exp()


@pytest.fixture(scope="module")
def good_programs() -> list[bytes]:
    many = Function(_many_kinds, layer=nn.Linear(6, 8), table=nn.Embedding(10, 8))
    return [
        take(Images(), (torch.randn(1, 3, 12, 12),)).lowered.pte,
        take(many, (torch.randn(1, 4, 6), torch.randint(0, 8, (1, 4)))).lowered.pte,
    ]


@pytest.fixture(scope="module")
def good_export(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("good") / "net.pt2"
    with torch.no_grad():
        torch.export.save(torch.export.export(Images().eval(), (torch.randn(1, 3, 12, 12),)), file)
    return file.read_bytes()


def refused(file: Path, read: Callable[[], object], number: int) -> bool:
    """Whether `read` refuses `file`. AssertionError where it ends in anything else."""
    try:
        with limits():
            read()
    except McuError as error:
        # An operator without a kernel is named with its line of the model, as the program has it.
        named = str(error).startswith((file.name, str(file))) or re.match(
            r".*:-?\d+: ", str(error), re.DOTALL
        )
        assert named, (number, str(error))
        return True
    except BaseException as error:
        raise AssertionError(f"damage {number}: {type(error).__name__}: {error}") from error
    return False


def planned(data: bytes, folders: Sequence[str]) -> None:
    """Plan and generate, as a build does."""
    generate(compile_program(programs.parse(data, "net.pte"), "net", Settings(folders)))


def check_programs(good: Sequence[bytes], count: int) -> int:
    """How many of `count` damaged programs are refused."""
    fields = [fields_read(lambda data=data: programs.parse(data)) for data in good]
    found = 0
    for number in range(count):
        dice = random.Random(number)
        which = dice.randrange(len(good))
        data, folders = damaged(good[which], fields[which], dice), dice.choice(KERNEL_FOLDERS)
        found += refused(Path("net"), lambda data=data, folders=folders: planned(data, folders), number)
    return found


def check_boards(folder: Path, count: int) -> int:
    """How many of `count` damaged board files are refused; from the others a build's files are made."""
    texts = [file.read_text() for file in board_files().values()]
    lines = [line for text in texts for line in text.splitlines() if "=" in line]
    file, found = folder / "mine.toml", 0

    def read() -> None:
        board = load_board(file)
        cmake_files(board, "host" if board.is_host else "arm-clang")
        if not board.is_host:
            linker_script(board)

    for number in range(count):
        dice = random.Random(number)
        file.write_bytes(damaged_text(dice.choice(texts), lines, dice))
        found += refused(file, read, number)
    return found


def check_exports(good: bytes, folder: Path, count: int) -> int:
    """How many of `count` damaged .pt2 files are refused."""
    file, found = folder / "net.pt2", 0
    for number in range(count):
        file.write_bytes(damaged_archive(good, random.Random(number)))
        found += refused(file, lambda: load_exported(file), number)
    return found


def test_damaged_programs(good_programs):
    assert check_programs(good_programs, PROGRAMS) > PROGRAMS // 2


def test_damaged_board_files(tmp_path):
    assert check_boards(tmp_path, BOARDS) > BOARDS // 2


def test_damaged_exports(good_export, tmp_path):
    assert check_exports(good_export, tmp_path, EXPORTS) > EXPORTS // 2


def test_good_files_are_not_refused(good_programs, good_export, tmp_path):
    """The control: what is refused is refused for its damage."""
    (tmp_path / "net.pt2").write_bytes(good_export)
    assert not refused(Path("net"), lambda: load_exported(tmp_path / "net.pt2"), -1)
    for data in good_programs:
        assert not refused(Path("net"), lambda data=data: planned(data, ("reference",)), -1)


@pytest.mark.parametrize("error", [ZeroDivisionError, TimeoutError, MemoryError, RecursionError])
def test_another_end_than_a_refusal_is_found(error):
    def read() -> None:
        raise error

    with pytest.raises(AssertionError, match=f"damage 3: {error.__name__}"):
        refused(Path("net"), read, 3)


def test_the_limits_stop_what_takes_too_long_or_too_much():
    with pytest.raises(TimeoutError), limits(seconds=0.05):
        while True:
            pass
    with pytest.raises(MemoryError), limits(nbytes=1 << 28):
        bytearray(1 << 29)


@pytest.mark.slow
def test_many_more_damaged_files(good_programs, good_export, tmp_path):
    assert check_programs(good_programs, PROGRAMS * MANY) > PROGRAMS * MANY // 2
    assert check_boards(tmp_path, BOARDS * MANY) > BOARDS * MANY // 2
    assert check_exports(good_export, tmp_path, EXPORTS * MANY) > EXPORTS * MANY // 2
