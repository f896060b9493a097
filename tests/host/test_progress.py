"""A stage that runs long says what it is doing; a short one has one line."""

import io
import re
import sys
import threading

import pytest

from mcu_build import terminal
from mcu_build.cli import output
from mcu_build.errors import McuError
from mcu_build.files import lock
from mcu_build.terminal import StageTimes


class _Written(io.StringIO):
    """Stands in for stderr, and tells when a text was written."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal
        self.grown = threading.Condition()

    def isatty(self):
        return self.is_terminal

    def write(self, text):
        with self.grown:
            super().write(text)
            self.grown.notify_all()

    def wait_for(self, text):
        with self.grown:
            assert self.grown.wait_for(lambda: text in self.getvalue(), timeout=30)


@pytest.fixture
def stderr_as(monkeypatch):
    """Put a terminal, or something else, in the place of stderr."""

    def replaced(is_terminal):
        written = _Written(is_terminal)
        monkeypatch.setattr(terminal.sys, "stderr", written)
        return written

    return replaced


def test_a_terminal_shows_each_step_in_one_line(stderr_as, monkeypatch):
    stderr = stderr_as(is_terminal=True)
    monkeypatch.setattr(terminal, "_REFRESH", 0.001)
    times = StageTimes()
    with times.stage("quantize"):
        for step in ("calibration item 1", "calibration item 2"):
            times.step(step)
            stderr.wait_for(step)
    with times.stage("lower"):
        stderr.wait_for(f"{'lower':<12} {0:6.1f} s  \x1b[K")
    assert stderr.getvalue().count("\n") == 2


def test_elsewhere_a_long_stage_has_a_line_at_its_start(stderr_as, monkeypatch):
    stderr = stderr_as(is_terminal=False)
    monkeypatch.setattr(terminal, "_LONG", 0.001)
    times = StageTimes()
    with times.stage("quantize"):
        stderr.wait_for("quantize     ...\n")
    monkeypatch.setattr(terminal, "_LONG", 60.0)
    with times.stage("lower"):
        times.step("never shown")
    lines = stderr.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["quantize", "quantize", "lower"]
    assert "never" not in stderr.getvalue()


def test_a_quiet_one_shows_nothing(stderr_as):
    stderr = stderr_as(is_terminal=True)
    times = StageTimes(quiet=True)
    with times.stage("quantize"):
        times.step("calibration item 1")
    assert stderr.getvalue() == ""


def test_a_stage_that_fails_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(ValueError, match="wrong"), StageTimes().stage("quantize"):
        raise ValueError("wrong")
    assert threading.active_count() == before


def test_what_a_model_prints_stands_above_the_live_line(stderr_as, monkeypatch):
    stderr = stderr_as(is_terminal=True)
    monkeypatch.setattr(terminal, "_REFRESH", 0.001)
    with StageTimes().stage("capture"):
        stderr.wait_for(f"{'capture':<12} {0:6.1f} s")
        print("epoch 1\nepo", end="", file=sys.stderr)
        print("ch 2", file=sys.stderr)
        print("no end", end="", file=sys.stderr)
    shown = stderr.getvalue()
    # What was on the terminal's line is cleared behind each of them.
    for line in ("epoch 1", "epoch 2", "no end"):
        assert f"{line}\x1b[K\n" in shown
    assert shown.index("epoch 1") < shown.index("epoch 2") < shown.index("no end")
    assert sys.stderr is stderr


def test_who_waits_for_another_build_is_told(tmp_path):
    text = []
    with lock(tmp_path, lambda: text.append("first")):
        waiting = threading.Event()

        def second():
            with lock(tmp_path, waiting.set):
                text.append("second")

        other = threading.Thread(target=second)
        other.start()
        assert waiting.wait(10) and text == []
    other.join(10)
    assert text == ["second"]


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "colored"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_errors_are_in_colour_on_a_terminal_alone(is_terminal, no_color, colored, stderr_as, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    stderr = stderr_as(is_terminal)
    output.report_error(McuError("net.py: wrong", "Do this."), as_json=False)
    StageTimes().warn("noisy")
    text = stderr.getvalue()
    assert ("\x1b[" in text) == colored
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert plain == "error: net.py: wrong\n\nhint: Do this.\nwarning: noisy\n"
