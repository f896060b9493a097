"""examples/streams: gestures in C++, fed by an interrupt, and in C; words from a microphone in both."""

import shutil
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.firmware import COMMAND, Project


def built(folder: Path, *images: str) -> Project:
    """Some of the example's images, from a copy of it."""
    ignored = shutil.ignore_patterns("build", "__pycache__")
    shutil.copytree(data_dir() / "examples" / "streams", folder / "streams", ignore=ignored)
    project = Project(folder / "streams")
    assert project.configure("arm-clang").status == 0
    project.build(*images)
    return project


def printed(project: Project, image: str) -> list[str]:
    words = [COMMAND, "run", "--board", "corstone-300", project.tree / f"{image}.elf", "--timeout", "10"]
    return process.run(words).stdout.split("\n")


def test_gestures_in_cplusplus_and_in_c(tmp_path, monkeypatch):
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "cache"))
    project = built(tmp_path, "demo", "demo_c")
    # Rest, shake, rest: each is told once, and no sample was lost.
    assert printed(project, "demo")[:4] == ["still", "shake", "still", "done"]
    assert printed(project, "demo_c")[:3] == ["still", "shake", "still"]


# A listener in place of the model: a voice that gets brighter is rising.
LISTENER_H = """
#include <stddef.h>
#define WAKE_HOP 80
#define WAKE_FIRST_RESULT 100
#define WAKE_OUTPUT_SIZE 4
#ifdef __cplusplus
#include <span>
extern "C" {
#endif
void wake_reset(void);
float* wake_input(void);
void wake_run(void);
const float* wake_output(void);
#ifdef __cplusplus
}
namespace wake {
inline constexpr size_t hop = WAKE_HOP, first_result = WAKE_FIRST_RESULT;
inline void reset() { wake_reset(); }
inline void run() { wake_run(); }
inline std::span<float, hop> input() { return std::span<float, hop>(wake_input(), hop); }
inline std::span<const float, 4> output() { return std::span<const float, 4>(wake_output(), 4); }
}
#endif
"""
LISTENER_C = """
#include "wake.h"
static float input[WAKE_HOP], output[4], power[2], change[2];
static int steps;
void wake_reset(void) { steps = 0; power[0] = power[1] = change[0] = change[1] = 0.0F; }
float* wake_input(void) { return input; }
void wake_run(void) {
    const int half = steps++ >= 47;
    for (int i = 1; i < WAKE_HOP; ++i) {
        power[half] += input[i] * input[i];
        change[half] += (input[i] - input[i - 1]) * (input[i] - input[i - 1]);
    }
}
const float* wake_output(void) {
    const int rises = change[1] * power[0] > change[0] * power[1];
    output[RISING] = (float)(steps == WAKE_FIRST_RESULT && rises);
    output[3 - RISING] = (float)(steps == WAKE_FIRST_RESULT && !rises);
    return output;
}
"""
CONSOLE = """
#include "mcu/platform.h"
#include <cstdio>
namespace mcu::platform {
void write_console(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }
}
"""


def test_the_applications_of_words_bring_sound_in_steps(tmp_path):
    """On this computer, with a listener instead of the model: the slow test below has the model."""
    (tmp_path / "wake.h").write_text(LISTENER_H)
    (tmp_path / "listener.c").write_text(LISTENER_C)
    (tmp_path / "console.cpp").write_text(CONSOLE)
    include = (f"-I{tmp_path}", f"-I{data_dir() / 'firmware' / 'include'}", "-Wall", "-Wextra", "-Werror")
    source = data_dir() / "examples" / "streams"
    for rising, words in ((1, ["rising", "falling"]), (2, ["falling", "rising"])):
        listener = tmp_path / "listener.o"
        process.run(["cc", "-c", f"-DRISING={rising}", *include, "-o", listener, tmp_path / "listener.c"])
        for compiler, files in (
            (("cc", "-std=c99"), [source / "keyword.c"]),
            (("c++", "-std=c++20"), [source / "keyword.cpp", tmp_path / "console.cpp"]),
        ):
            image = tmp_path / "keyword"
            made = process.run([*compiler, *include, *files, listener, "-lm", "-o", image])
            assert made.status == 0, made.stderr
            assert process.run([image]).stdout.split() == words


@pytest.mark.slow
def test_words_in_cplusplus_and_in_c(tmp_path):
    project = built(tmp_path, "keyword", "keyword_c")
    for image in ("keyword", "keyword_c"):
        assert printed(project, image)[:2] == ["rising", "falling"]
