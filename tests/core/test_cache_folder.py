"""The folder of kernels: where it is, who may have written it, and what stays in it."""

import os
import stat
import threading
import time

import pytest

from streamloss.core import cache_folder

KEY = "0123abcd"
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder that is not there yet."""
    monkeypatch.delenv(cache_folder.SWITCH, raising=False)
    monkeypatch.setenv(cache_folder.PLACE, str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    cache_folder.folder.cache_clear()


def test_files_are_kept_for_the_user_alone(place):
    cache_folder.write(KEY, b"code")
    assert cache_folder.read(KEY) == b"code"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    (file,) = place.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cache_folder.usage()[:2] == (1, 4)
    cache_folder.remove(KEY)
    assert cache_folder.read(KEY) is None
    assert cache_folder.usage() == (0, 0, 0, 0)


def test_uses_are_counted_over_processes(place, monkeypatch):
    for found in (True, False, True, True):
        cache_folder.note_use(found)
    assert cache_folder.usage() == (0, 0, 3, 1)
    monkeypatch.setattr(cache_folder, "_MOST_USES", 3)
    cache_folder.note_use(True)
    assert cache_folder.usage() == (0, 0, 1, 0), "the file begins again before it is large"


def test_the_place_is_that_of_the_variables(tmp_path, monkeypatch):
    monkeypatch.delenv(cache_folder.SWITCH, raising=False)
    home, caches = tmp_path / "home", tmp_path / "caches"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("sys.platform", "linux")
    expected = {
        (str(tmp_path / "own"), str(caches)): tmp_path / "own",
        ("~/own", str(caches)): home / "own",
        ("", str(caches)): caches / "streamloss",
        ("", ""): home / ".cache/streamloss",
        ("", "relative"): home / ".cache/streamloss",
    }
    for (own, xdg), where in expected.items():
        monkeypatch.setenv(cache_folder.PLACE, own)
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
        forget()
        assert cache_folder.folder() == where
        assert where.is_dir()
    forget()


def test_the_place_stays_where_it_is_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    for variable in (cache_folder.SWITCH, cache_folder.PLACE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "home")
    monkeypatch.chdir(tmp_path)
    forget()
    assert str(cache_folder.folder()).startswith(str(tmp_path))
    forget()


@pytest.mark.parametrize("switch", ["0", "off", "False", " no "])
def test_the_cache_can_be_switched_off(place, monkeypatch, switch):
    monkeypatch.setenv(cache_folder.SWITCH, switch)
    nothing_is_kept()
    assert not place.exists()


def nothing_is_kept():
    forget()
    assert cache_folder.folder() is None
    cache_folder.write(KEY, b"code")
    cache_folder.remove(KEY)
    assert cache_folder.read(KEY) is None
    cache_folder.note_use(True)
    assert cache_folder.usage() == (0, 0, 0, 0)


@pytest.mark.parametrize("where", ["/dev/null/cache", "/proc/cache", "a\0b"])
def test_where_there_can_be_no_folder_there_is_no_cache(place, monkeypatch, where):
    monkeypatch.setattr(cache_folder, "_place", lambda: type(place)(where))
    nothing_is_kept()


def test_without_a_home_there_is_no_cache(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for variable in (cache_folder.PLACE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pathlib.Path.home", no_home)
    nothing_is_kept()
    forget()


def test_a_file_in_the_folders_place_is_no_folder(place):
    place.write_bytes(b"")
    nothing_is_kept()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(place, mode):
    cache_folder.write(KEY, b"code")
    place.chmod(mode)
    nothing_is_kept()


def test_a_folder_that_others_may_read_is(place):
    cache_folder.write(KEY, b"code")
    place.chmod(0o755)
    forget()
    assert cache_folder.read(KEY) == b"code"


@as_root
def test_a_folder_of_somebody_else_is_not_used(place):
    cache_folder.write(KEY, b"code")
    os.chown(place, 12345, 12345)
    nothing_is_kept()


@as_root
def test_a_file_of_somebody_else_is_not_read(place):
    cache_folder.write(KEY, b"code")
    os.chown(place / f"{KEY}.kernel", 12345, 12345)
    assert cache_folder.read(KEY) is None


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o666])
def test_a_file_that_others_may_write_to_is_not_read(place, mode):
    cache_folder.write(KEY, b"code")
    (place / f"{KEY}.kernel").chmod(mode)
    assert cache_folder.read(KEY) is None


def test_what_is_no_file_is_not_read(place):
    folder = cache_folder.folder()
    os.mkfifo(folder / "fifo.kernel", 0o600)
    (folder / "folder.kernel").mkdir()
    (folder / "elsewhere").write_bytes(b"code")
    (folder / "link.kernel").symlink_to(folder / "elsewhere")
    for key in ("fifo", "folder", "link", "none"):
        assert cache_folder.read(key) is None


def test_a_read_only_folder_is_read(place):
    """As in an image of a container with kernels in it, which belong to root."""
    cache_folder.write(KEY, b"code")
    place.chmod(0o500)
    forget()
    assert cache_folder.read(KEY) == b"code"
    place.chmod(0o700)


def test_a_write_that_fails_leaves_nothing(place, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache_folder.write(KEY, b"code")
    assert list(place.iterdir()) == []


def test_files_that_were_used_least_recently_go_first(place, monkeypatch):
    monkeypatch.setattr(cache_folder, "LIMIT", 450)
    for i in range(4):
        cache_folder.write(f"{i}", bytes(100))
        os.utime(place / f"{i}.kernel", (0, time.time() - 1e6 + i))
    assert cache_folder.read("0") == bytes(100), "used again today"
    cache_folder.write("4", bytes(100))
    assert {file.stem for file in place.iterdir()} == {"0", "2", "3", "4"}
    assert cache_folder.usage()[:2] == (4, 400)


def test_what_a_killed_writer_left_goes_after_a_day(place):
    folder = cache_folder.folder()
    old, new = (f".{KEY}.1.2.{i}.part" for i in range(2))
    for name, age in ((old, 2 * 86400), (new, 60)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (0, time.time() - age))
    cache_folder.write(KEY, b"code")
    assert {file.name for file in place.iterdir()} == {new, f"{KEY}.kernel"}


def test_what_others_keep_in_the_folder_stays(place, monkeypatch):
    """The variable may name a home or a project, whose hidden files are old."""
    monkeypatch.setattr(cache_folder, "LIMIT", 1)
    folder = cache_folder.folder()
    names = {".bashrc", ".env.1.2.3", ".git.kernel", "linux.kernel", "uses", ".1.2.3.part", ".part"}
    for name in names:
        (folder / name).write_bytes(bytes(100))
        os.utime(folder / name, (0, 0))
    cache_folder.note_use(True)
    cache_folder.write(KEY, b"code")
    assert cache_folder.usage()[0] == 0, "ours alone is over the limit"
    assert {file.name for file in folder.iterdir() if file.stat().st_size == 100} == names


def test_readers_see_all_of_a_file_or_none(place):
    contents, stop = [bytes([i]) * 300_000 for i in range(4)], threading.Event()

    def write(content):
        while not stop.is_set():
            cache_folder.write(KEY, content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    seen = [cache_folder.read(KEY) for _ in range(300)]
    stop.set()
    for thread in threads:
        thread.join()
    assert set(seen) <= {None, *contents}
    assert len(set(seen)) > 1
    assert [file.name for file in place.iterdir()] == [f"{KEY}.kernel"]
