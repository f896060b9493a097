"""The pytest plugin: `pytest --mcu-board corstone-300`, and the fixture `mcu`, which builds firmware.

pytest loads it wherever mcu-build is installed, so it imports nothing heavy before a test asks for `mcu`.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mcu_build.pytest_firmware import Console, Mcu

_HINT = (
    "Give --mcu-board, mark the test: @pytest.mark.mcu_boards(...), or write `board` into mcu-build.toml. "
    "`mcu-build boards` lists them."
)
# What firmware printed during the test that runs now.
_CONSOLES = pytest.StashKey[list["Console"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--mcu-board and --mcu-build-dir."""
    group = parser.getgroup("mcu-build")
    group.addoption(
        "--mcu-board",
        action="append",
        default=[],
        metavar="B",
        help="Board for tests with the fixture `mcu`: a name, or a .toml file. May be given several times.",
    )
    group.addoption(
        "--mcu-build-dir",
        default="build/pytest",
        metavar="DIR",
        help="Where the fixture `mcu` builds, from pytest's rootdir (default: build/pytest).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "mcu_boards(*names): the boards that a test is for")
    config.stash[_CONSOLES] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each board that was chosen; it is skipped where it is not for that board."""
    if "mcu" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("mcu_boards")
    suited = list(marker.args) if marker else []
    unsuited = pytest.mark.skip(reason=f"for {', '.join(suited)}")
    boards = [
        pytest.param(board, marks=[unsuited] if suited and board not in suited else [])
        for board in dict.fromkeys(
            metafunc.config.getoption("mcu_board") or suited or _usual(metafunc.config)
        )
    ]
    if boards:
        metafunc.parametrize("mcu", boards, indirect=True, scope="session")


def _usual(config: pytest.Config) -> list[str]:
    """The board of MCU_BOARD, else of the project file, if there is one."""
    from mcu_build.fronts.project import settled

    board = settled(config.rootpath, {}).get("board")
    return [board] if board else []


@pytest.fixture(scope="session")
def mcu(request: pytest.FixtureRequest) -> "Mcu":
    """Builds firmware for the board under test: `mcu.build("model.py").run(x)`."""
    if not hasattr(request, "param"):
        pytest.fail(f"mcu: no board\n\nhint: {_HINT}", pytrace=False)
    from mcu_build.pytest_firmware import Mcu

    config = request.config
    build_root = config.rootpath / config.getoption("mcu_build_dir")
    return Mcu(request.param, config.rootpath, build_root, config.stash[_CONSOLES])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Forget what the test before has printed."""
    item.config.stash[_CONSOLES].clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put consoles into the report of a failure, where the terminal and JUnit XML show them."""
    report = yield
    add_section = getattr(report.longrepr, "addsection", None)
    if report.failed and add_section:
        for console in item.config.stash[_CONSOLES]:
            add_section(f"console of {console.firmware}", console.text or "(empty)")
    return report
