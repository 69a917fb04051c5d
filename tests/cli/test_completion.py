"""The tab key completes losses, their parameters and values, in the shells whose scripts click writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, ZshComplete

from processes import environment
from streamloss.cli import cli
from streamloss.formulas._registry import declarations

ROOT = Path(__file__).parents[2]


def completed(arguments, incomplete, shell=BashComplete):
    """Return the values that are offered for the last, unfinished word of a command."""
    completer = shell(cli, {}, "streamloss", "_STREAMLOSS_COMPLETE")
    return [item.value for item in completer.get_completions(arguments, incomplete)]


@pytest.mark.parametrize("command", ["evaluate", "plan", "compile"])
def test_all_losses_are_offered_and_other_names_once_they_are_begun(command):
    assert completed([command, "--loss"], "") == [declaration.name for declaration in declarations()]
    assert completed([command, "--loss"], "hub") == ["huber", "huber_loss"]
    assert completed([command, "--loss"], "Hub") == ["Huber"]
    assert completed([command, "--loss"], "no such loss") == []


def test_names_are_offered_to_describe():
    assert completed(["losses"], "hub") == ["huber", "huber_loss"]


def test_parameters_and_values_of_a_loss():
    assert completed(["evaluate", "--loss"], "huber:") == ["huber:delta=", "huber:axis="]
    assert completed(["evaluate", "--loss"], "huber:d") == ["huber:delta="]
    assert completed(["evaluate", "--loss"], "bce:from_logits=") == ["bce:from_logits=true", "bce:from_logits=false"]
    assert completed(["evaluate", "--loss"], "hinge:labels=p") == ["hinge:labels=pm1"]
    assert completed(["evaluate", "--loss"], "huber:delta=") == []
    assert completed(["evaluate", "--loss"], "bce:from_logits=true,f") == []
    assert completed(["evaluate", "--loss"], "bce:from_logits=true,l") == ["bce:from_logits=true,label_smoothing="]
    assert completed(["evaluate", "--loss"], "nothing:d") == []


@pytest.mark.parametrize("option", ["--y-true", "--y-pred", "--sample-weight", "--mask"])
def test_files_are_completed_by_the_shell(option):
    items = BashComplete(cli, {}, "streamloss", "_STREAMLOSS_COMPLETE").get_completions(["evaluate", option], "data/")
    assert [(item.type, item.value) for item in items] == [("file", "data/")]


def test_values_of_options_and_commands():
    assert completed(["evaluate", "--nan-policy"], "o") == ["omit"]
    assert completed([], "ev") == ["evaluate"]


def test_what_is_offered_to_zsh_says_what_it_is_for():
    (item,) = ZshComplete(cli, {}, "streamloss", "_STREAMLOSS_COMPLETE").get_completions(["losses"], "pinball")
    assert item.help.startswith("forecasts of a quantile")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Put the command, of this interpreter, on the path."""
    (tmp_path / "streamloss").write_text(f"#!{sys.executable}\nfrom streamloss.cli import main; main()")
    (tmp_path / "streamloss").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", environment(ROOT)["PYTHONPATH"])


SHELLS = {
    "bash": """
        eval "$(_STREAMLOSS_COMPLETE=bash_source streamloss)"
        COMP_WORDS=(streamloss evaluate --loss huber:d) COMP_CWORD=3
        _streamloss_completion streamloss
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { :; }
        eval "$(_STREAMLOSS_COMPLETE=zsh_source streamloss)"
        whence -w _streamloss_completion > /dev/null
        COMP_WORDS="streamloss evaluate --loss huber:d" COMP_CWORD=3 _STREAMLOSS_COMPLETE=zsh_complete streamloss
    """,
    "fish": """
        _STREAMLOSS_COMPLETE=fish_source streamloss | source
        complete --do-complete "streamloss evaluate --loss huber:d"
    """,
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_completes(shell, command):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-c", SHELLS[shell]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "delta=" in done.stdout.replace("\\", ""), done.stdout + done.stderr
