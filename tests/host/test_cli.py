"""The command line: verbs, usage errors, JSON; nothing heavy is imported to answer."""

import os
import shlex
import signal
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from mcu_build.cli import VERBS, cli
from mcu_build.cli.help import EXAMPLES
from mcu_build.errors import McuError
from mcu_build.vectors import npz
from tests.support.cli import mcu_build


def modules_after(*words):
    """Top-level modules that a fresh interpreter has loaded after the command."""
    code = (
        "import sys\nfrom mcu_build.cli import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_lists_every_verb_and_imports_nothing_heavy():
    result = mcu_build("--help")
    assert result.status == 0
    assert all(verb in result.out for verb in VERBS)
    assert not modules_after("--help") & {"torch", "executorch", "numpy", "pydantic", "rich"}


def test_a_process_ends_with_its_status_and_all_that_it_printed():
    code = (
        "import atexit, sys\nfrom mcu_build.cli import program\natexit.register(lambda: print('at exit'))\n"
        "sys.argv[1:] = {}\nprogram()"
    )
    for words, status in ((["boards", "--json"], 0), (["boards", "nowhere"], 1)):
        done = subprocess.run([sys.executable, "-c", code.format(words)], capture_output=True, text=True)
        assert done.returncode == status
        assert done.stdout.endswith("at exit\n")
        assert (status == 1) == ("nowhere" in done.stderr)
    assert (
        subprocess.run([sys.executable, "-m", "mcu_build", "nonsense"], capture_output=True).returncode == 2
    )


def test_where_what_is_printed_cannot_go():
    """A reader that has gone, a full disk, no stdout: the right status, and nothing of Python's."""
    run = [sys.executable, "-m", "mcu_build", "boards"]
    for words, target, status in (
        ("", "| (exec <&-; sleep 0.1)", 141),
        ("--json", "| (exec <&-; sleep 0.1)", 141),
        ("", ">/dev/full", 1),
        ("--json", ">/dev/full", 1),
        ("--help", ">/dev/full", 1),
        ("", ">&-", 0),
    ):
        line = f"{shlex.join(run)} {words} {target}; echo ${{PIPESTATUS[0]}} >&2"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        *text, last = done.stderr.splitlines()
        assert (int(last), "Traceback" in done.stderr) == (status, False), (words, target, done.stderr)
        assert ("error: stdout: No space left on device" in text) == (target == ">/dev/full" and words == "")


@pytest.mark.parametrize("chosen, policy", [("", "passive"), ("active", "active")])
def test_waiting_threads_sleep_unless_the_environment_chooses(chosen, policy):
    """Before torch is loaded: its threads' library reads the environment once."""
    code = (
        "import os, sys, mcu_build.__main__ as entry\n"
        "class Asks:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mcu_build.cli':\n"
        "            os.write(1, os.environ['OMP_WAIT_POLICY'].encode())\n"
        "sys.meta_path.insert(0, Asks())\nsys.argv[1:] = ['--version']\nentry.run()"
    )
    given = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=given | ({"OMP_WAIT_POLICY": chosen} if chosen else {}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.startswith(policy)) == (0, True), done.stderr


def test_an_interruption_before_the_command_answers_leaves_no_traceback():
    code = (
        "import os, signal, sys, mcu_build.__main__ as entry\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mcu_build.cli':\n            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupts())\nentry.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help(verb):
    result = mcu_build(verb, "--help")
    assert result.status == 0
    assert "--help" in result.out


def test_boards_need_no_torch():
    assert not modules_after("boards") & {"torch", "executorch"}


def test_boards_as_json():
    result = mcu_build("boards", "--json")
    assert result.json["schema"] == 1
    ids = {row["id"] for row in result.json["boards"]}
    assert {"corstone-300", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "microbit", "host"} <= ids
    assert mcu_build("boards", "microbit", "--json").json["board"]["core"] == "cortex-m0"
    shown = mcu_build("boards", "microbit").out
    assert "core       cortex-m0" in shown and "0x20000000" in shown and "vectors, code, constants" in shown


@pytest.mark.parametrize(
    "words",
    [
        ["boards", "--colour"],
        ["build", "model.py"],
        ["build", "--board"],
        ["--io", "int7", "--board", "host", "model.py"],
        ["clean", "a", "b"],
    ],
)
def test_usage_errors_have_status_2(words):
    result = mcu_build(*words)
    assert result.status == 2
    assert result.err.startswith("error: ")
    assert "hint: " in result.err
    assert not result.out


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_a_run_takes_time(seconds):
    result = mcu_build("test", "--board", "host", "--timeout", seconds, "model.py")
    assert result.status == 2
    assert "--timeout" in result.err


def test_the_verb_may_be_left_out():
    spoken, silent = mcu_build("build", "--board", "nowhere", "m.py"), mcu_build("--board", "nowhere", "m.py")
    assert spoken == silent
    assert spoken.status == 1


@pytest.mark.parametrize("words", [(), ("help",)])
def test_alone_it_prints_help(words):
    result = mcu_build(*words)
    assert (result.status, result.err) == (0, "")
    assert result.out == mcu_build("--help").out


def test_help_of_a_verb_and_the_version():
    assert mcu_build("help", "size").out == mcu_build("size", "--help").out
    assert mcu_build("version").out == mcu_build("-V").out == mcu_build("--version").out


def test_a_verb_that_is_misspelt():
    result = mcu_build("biuld", "--board", "host", "model.py")
    assert result.status == 2
    assert "there is no verb 'biuld'. Did you mean build?" in result.err
    assert "`mcu-build --help` lists the verbs" in result.err
    assert "It is no file either" in mcu_build("quux").err


def test_the_board_of_the_environment(monkeypatch):
    monkeypatch.setenv("MCU_BOARD", "nowhere")
    assert "nowhere" in mcu_build("build", "m.py").err
    assert "corstone300" in mcu_build("build", "-b", "corstone300", "m.py").err


def test_an_interruption_has_status_130(monkeypatch):
    def stop(*_words, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcu_build.cli.cli.main", stop)
    result = mcu_build("boards")
    assert (result.status, result.err.split("\n")[0]) == (130, "error: interrupted")


def test_a_terminated_command_leaves_no_process(tmp_path):
    code = (
        "import os, signal, threading, mcu_build.cli as command\nfrom mcu_build import process\n"
        "def verb(*words, **options):\n"
        "    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "    process.run(['sh', '-c', 'echo $$ >number; exec sleep 60'])\n"
        "command.cli.main = verb\ncommand.program()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=50)
    assert done.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "number").read_text()), 0)


def test_an_interruption_that_python_drops_is_repeated():
    """As in a destructor, of which torch has many."""
    code = (
        "import signal, time, mcu_build.cli as command\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Dropped:\n    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
        "def verb(*words, **options):\n    Dropped()\n    time.sleep(60)\n"
        "command.cli.main = verb\ncommand.program()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr.strip().split("\n")[0]) == (130, "error: interrupted")


def test_errors_as_json():
    result = mcu_build("--board", "corstone300", "model.py", "--json")
    assert result.status == 1
    error = result.json["error"]
    assert error["exit_code"] == 1
    assert "corstone300" in error["message"]
    assert "corstone-300" in error["hint"]
    assert not result.err


def test_new_writes_a_project_and_overwrites_nothing(tmp_path):
    folder = tmp_path / "starter"
    assert mcu_build("new", folder).status == 0
    assert {path.name for path in folder.iterdir()} == {"model.py", "main.cpp", "CMakeLists.txt", "README.md"}
    (folder / "model.py").write_text("mine")
    again = mcu_build("new", folder)
    assert again.status == 1
    assert "exists already" in again.err
    assert (folder / "model.py").read_text() == "mine"


def test_clean_removes_builds_and_nothing_else(tmp_path):
    made, other = tmp_path / "net" / "host", tmp_path / "precious"
    made.mkdir(parents=True)
    other.mkdir()
    (made / "manifest.json").write_text("{}")
    (other / "data").write_text("keep")
    assert mcu_build("clean", "--build-dir", tmp_path).status == 0
    assert not made.exists()
    assert (other / "data").read_text() == "keep"
    assert mcu_build("clean", "net", "--build-dir", tmp_path).status == 1


def test_cmake_dir_is_there():
    from pathlib import Path

    assert (Path(mcu_build("cmake-dir").out.strip()) / "McuBuildConfig.cmake").is_file()


def test_an_image_to_run_is_looked_at_first(tmp_path):
    junk = tmp_path / "junk.elf"
    junk.write_text("hello\n")
    for words in (("--npu", "none"), ()):
        run = ("run", "--board", "corstone-300", *words)
        assert mcu_build(*run, junk).status == 1
        absent = mcu_build(*run, tmp_path / "absent.elf")
        assert absent.status == 1 and "absent.elf" in absent.err
    ports = mcu_build("run", "--board", "corstone-300", junk, "--json")
    assert ports.status == 2 and "are for models" in ports.json["error"]["message"]
    other = mcu_build("run", "--board", "mps2-an386", "--npu", "ethos-u55-128", junk)
    assert other.status == 2 and "mps2-an386 has no NPU" in other.err and "Leave --npu out" in other.err


def commands(command, name):
    """A command, and those below it where it is a group."""
    if not isinstance(command, click.Group):
        return {name: command}
    return {
        key: one
        for word, below in command.commands.items()
        for key, one in commands(below, f"{name} {word}").items()
    }


def test_every_verb_has_json():
    for verb in VERBS:
        for name, command in commands(cli.get_command(None, verb), verb).items():
            assert "--json" in {word for parameter in command.params for word in parameter.opts}, name
            # What is wrong is one JSON document, too.
            refused = mcu_build(*name.split(), "--json", "--no-such-option")
            assert (refused.status, refused.json["error"]["exit_code"]) == (2, 2), name
    assert mcu_build("cmake-dir", "--json").json["folder"] == mcu_build("cmake-dir").out.strip()
    assert mcu_build("bazel", "dir", "--json").json["folder"] == mcu_build("bazel", "dir").out.strip()


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (("size", "-b", "host", "--vectors", "5", "net.py"), "--vectors", "It is an option of test, "),
        (("build", "-b", "host", "na\udcefve.py"), "its name is not UTF-8", "another name"),
        (("build", "-b", "stm32f446", "net.py"), "stm32f446", "Did you mean nucleo-f446re?"),
        (("build", "-b", "host", "net.pt"), "net.pt: not a model file", "torch.load('net.pt')"),
        (("build", "-b", "host", "-npu", "none", "net.py"), "'-n'", "--npu"),
        (("run", "-b", "host", "--outputs", "net.py/x.npz", "net.py"), "cannot be written", "--build-dir"),
        (("test",), "'MODEL'", "For example: mcu-build test "),
        (("help", "biuld"), "no verb 'biuld'. Did you mean build?", "--help"),
        (("build", "-b", "host", f"{'n' * 300}.py"), "File name too long", "a shorter name"),
        (
            ("build", "-b", "near.toml", "net.py"),
            "clok: no such key: did you mean clock?",
            "`mcu-build docs boards`",
        ),
    ],
)
def test_unusual_words_of_the_command_line(words, said, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("")
    (tmp_path / "net.pt").write_bytes(b"")
    (tmp_path / "near.toml").write_text('extends = "microbit"\nclok = 5\n')
    text = mcu_build(*words)
    assert text.status in (1, 2) and said in text.err and hint in text.err


def test_an_archive_that_ends_too_early(tmp_path):
    (tmp_path / "in.npz").write_bytes(b"")
    with pytest.raises(McuError, match=r"not an \.npz archive"):
        npz.load(tmp_path / "in.npz")


def test_help_has_options_in_groups_and_an_example_that_works():
    assert EXAMPLES.keys() == VERBS.keys()
    for verb, example in EXAMPLES.items():
        made = cli.get_command(None, verb)
        text = mcu_build(verb, "--help").out
        assert f"Example: {example.split(' ')[0]}" in text
        words = example.split()[1:]
        given = words if words[0] != verb else words[1:]
        if verb == "cmake-dir":
            given = []
        # An example names options that there are, with values that they take.
        if verb not in ("boards", "new"):
            made.make_context(verb, list(given))
    text = mcu_build("test", "--help").out
    for group in ("Model and board", "Run", "Budgets", "Output", "Compiler, kernels, runtime"):
        assert f"─ {group} ─" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = mcu_build("completion", shell).out
    assert "_MCU_BUILD_COMPLETE" in shown
    result = mcu_build("completion", shell, "--install", "--json").json
    assert (tmp_path / result["file"]).read_text() in (shown, shown.rstrip("\n"))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert mcu_build("completion", "--json").json["shell"] == shell


def test_boards_and_npus_are_completed(monkeypatch):
    monkeypatch.setenv("MCU_BOARD", "")

    def completed(*words):
        found = ShellComplete(cli, {}, "mcu-build", "_MCU_BUILD_COMPLETE")
        return [one.value for one in found.get_completions(list(words[:-1]), words[-1])]

    assert "mps2-an386" in completed("build", "--board", "mps")
    assert completed("build", "--board", "corstone-320", "--npu", "ethos-u55") == []
    assert "ethos-u85-256" in completed("build", "--board", "corstone-320", "--npu", "ethos")
    assert completed("comp") == ["compare", "completion"]


def test_a_hint_with_a_page_names_the_command_that_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mcu-build.toml").write_text("bord = 1\n")
    result = mcu_build("size", "x.py")
    assert "(`mcu-build docs project`)" in result.err
    assert mcu_build("docs", "project").status == 0
