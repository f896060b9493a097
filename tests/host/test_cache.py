"""Entries of the cache are whole or absent, and keys tell inputs apart."""

import resource
from types import SimpleNamespace

import pytest
import torch

from mcu_build.cache import Cache, hash_files, hash_text
from mcu_build.errors import McuError
from mcu_build.files import disk_full
from mcu_build.frontend.store import load_quantized, save
from mcu_build.stages import reference


def write(text):
    return lambda folder: (folder / "result").write_text(text) and None


def test_an_entry_is_made_once(tmp_path):
    cache = Cache(tmp_path / "cache")
    first, was_there = cache.get("k", write("one"))
    assert not was_there
    second, was_there = cache.get("k", write("two"))
    assert was_there
    assert first == second
    assert (second / "result").read_text() == "one"


def test_a_failed_entry_leaves_nothing(tmp_path):
    cache = Cache(tmp_path)

    def fail(folder):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get("k", fail)
    assert cache.find("k") is None
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    assert cache.get("k", write("whole"))[1] is False


def test_a_program_for_which_there_is_no_room(tmp_path):
    """A limit stands for a full disk: an error that says so, and no entry."""
    cache, program = Cache(tmp_path), torch.export.export(torch.nn.Linear(64, 64), (torch.zeros(1, 64),))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, usual[1]))
    try:
        with pytest.raises(McuError, match=r"model\.pt2: File too large"):
            cache.get("k", lambda folder: save(program, folder / "model.pt2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert cache.find("k") is None and not list(tmp_path.glob("*/model.pt2"))
    entry, _ = cache.get("k", lambda folder: save(program, folder / "model.pt2"))
    assert load_quantized(entry / "model.pt2").constants is not None


def test_a_full_disk_is_the_reason_only_where_it_is_full(tmp_path, monkeypatch):
    assert disk_full(tmp_path) is None
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    assert "No space left on device" in str(disk_full(tmp_path))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(McuError, match="file") as caught:
        Cache(tmp_path / "file").get("k", write("x"))
    assert "MCU_BUILD_CACHE" in caught.value.hint


def test_keys_see_names_contents_and_borders(tmp_path):
    assert hash_text("ab", "c") != hash_text("a", "bc")
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    key = hash_files([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert key == hash_files([tmp_path / "b", tmp_path / "a"], tmp_path)
    (tmp_path / "b").write_text("3")
    assert key != hash_files([tmp_path / "a", tmp_path / "b"], tmp_path)
    (tmp_path / "b").write_text("2")
    (tmp_path / "b").rename(tmp_path / "c")
    assert key != hash_files([tmp_path / "a", tmp_path / "c"], tmp_path)


def test_every_definition_counts_for_cached_references():
    assert {"arithmetic", "oracle"} <= set(reference._REFERENCE_CODE)
