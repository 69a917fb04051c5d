"""The command line on bad days: names that command the terminal, no place for the output, files that are none."""

import os
import subprocess
import sys

import numpy as np
import pytest

from streamloss import cli

ESCAPE = "b\x1b[31m"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("y.npy", np.zeros(3, "f4"))
    (tmp_path / ESCAPE).mkdir()
    np.save(f"{ESCAPE}/y.npy", np.ones(3, "f4"))
    np.save(f"{ESCAPE}/k.npy", np.array(["a", "\x1b[2J", "\u202e"]))
    return tmp_path


DATA = ["--loss", "mse", "--y-true", "y.npy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", *DATA, "--y-pred", f"{ESCAPE}/y.npy", "--table", "-q"],
        ["evaluate", *DATA, "--y-pred", f"{ESCAPE}/y.npy", "--by", f"k={ESCAPE}/k.npy", "--table", "-q"],
        ["evaluate", *DATA, "--y-pred", f"{ESCAPE}/z.npy"],
        ["evaluate", f"{ESCAPE}.toml"],
        ["plan", *DATA, "--y-pred", f"{ESCAPE}/y.npy", "--table"],
        ["merge", f"{ESCAPE}/z.state"],
        ["report", f"{ESCAPE}/z.json"],
        ["losses", ESCAPE],
        [ESCAPE],
    ],
)
def test_no_name_commands_the_terminal(arguments, capsys):
    cli.run(arguments)
    out, err = capsys.readouterr()
    assert out + err
    assert not set(out + err) & {"\x1b", "\u202e"}


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as a shell does")
def test_a_result_is_saved_though_its_output_was_closed(place):
    command = [
        sys.executable,
        "-m",
        "streamloss",
        "evaluate",
        *DATA,
        "--y-pred",
        "y.npy",
        "--state",
        "s.state",
        "--table",
    ]
    for closed in (">&-", ">&- 2>&-"):
        shell = ["bash", "-c", f'"$@" --table {closed}', "bash", *command]
        assert subprocess.run(shell, capture_output=True, timeout=120, check=False).returncode == 0
        assert (place / "s.state").stat().st_size > 100
        (place / "s.state").unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a=" + b"[" * 3000 + b"]" * 3000, "nested too deep"),
        (b"\0", "not valid TOML"),
        (b"losses='\xff'", "not valid TOML"),
        (b"losses='mse'\ny_true='y.npy'\ny_pred={a=3}", "y_pred"),
        (b"losses='mse'\ny_true='y.npy'\ny_pred='y.npy'\nrows='9999999999999999999999:3'", "rows"),
        (b"losses=[{loss='mse', self=1}]\ny_true='y.npy'\ny_pred='y.npy'", "no parameter 'self'"),
    ],
)
def test_a_configuration_that_is_none_is_said(content, said, place, capsys):
    (place / "c.toml").write_bytes(content)
    assert cli.run(["evaluate", "c.toml"]) == 2
    assert said in capsys.readouterr().err
