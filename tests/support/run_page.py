"""Run the blocks of a page of the documentation, in their order, in one folder.

python tests/support/run_page.py docs/index.md     writes what was printed into the `text` block behind each block

- `python` blocks share their names. What they print is compared with a `text` block that follows at once.
- `bash` and `sh` blocks are run line by line: `streamloss` in this process, as on a terminal, and what has anything of
  a shell in it by bash. `# exits with 1` behind a command is its exit code. Commands of machines that are not here
  (NOT_HERE) are not run; those with a placeholder, such as HOST or a bucket, are parsed.
- A warning of ours is an error in `python` blocks, but in those with a comment `# warns`.
- Blocks with a title, as ```toml title="job.toml"```, are files, and are written.

Times, speeds, memory and threads in what is printed are not compared.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import click

from streamloss import cli
from streamloss.cli import commands
from streamloss.errors import StreamlossWarning

NOT_HERE = {"pip", "make", "sbatch", "srun", "kubectl", "podman", "git", "uv", "source", "spark-submit"}
PLACEHOLDER = re.compile(r"\b(HOST|URI|NAME|IMAGE)\b|\w+://(bucket|your-)|s3://")
SHELL = re.compile(r"[|<>;&$`*]|\bfor\b")
FENCE = re.compile(
    r"^```(?P<language>\w+)(?P<attributes>[^\n`]*)\n(?P<code>.*?)^```\n"
    r"(?P<output>\n```text\n(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
ASSIGNED = re.compile(r"\w+=\$\((\w+)")
"""The command whose output a variable is given, as in `array=$(sbatch ...)`."""
VARIES = re.compile(
    r"(, [\d.]+ s of them compiling)|\d[\d,.]* (s|ms|rows/s|[kMG]i?B(/s)?)\b|\b\d+ x threads|Python \d\.\d+\.\d+"
)


@dataclass
class Block:
    language: str
    title: str | None
    code: str
    expected: str | None
    """What the page says that is printed; None where it says nothing."""
    printed: str = ""


def blocks_of(text):
    """Return the blocks of a page that are run or written to files, with their matches."""
    for match in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', match["attributes"])
        block = Block(match["language"], title and title[1], match["code"], match["printed"])
        if block.title or block.language in ("python", "bash", "sh"):
            yield match, block


def run_blocks(text, names=None):
    """Run the blocks of a page in the current folder; return them with what they printed."""
    names = {"__name__": "__page__"} if names is None else names
    done = []
    for match, block in blocks_of(text):
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.code)
        elif block.language == "python":
            block.printed = _run_python(block.code, names)
        else:
            block.printed = "".join(_run_command(line) for line in _lines(block.code))
        done.append((match, block))
    return done


def comparable(text):
    """Return a text without what differs from run to run."""
    text = VARIES.sub(lambda match: "" if match[1] else "#", text)
    lines = [re.sub(r" {2,}", "  ", re.sub("─+", "─", line)).strip() for line in text.splitlines()]
    return [line for line in lines if line]


def _run_python(code, names):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "  # warns" not in code:
            warnings.simplefilter("error", StreamlossWarning)
        exec(compile(code, "<page>", "exec"), names)
    return out.getvalue()


def _lines(code):
    """Return the commands of a block: lines, and those that a backslash continues."""
    return [
        line for line in code.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def _run_command(line):
    expected = re.search(r"# exits with (\d+)", line)
    words = shlex.split(line, comments=True)
    settings = [word for word in words if re.fullmatch(r"[A-Z_]+=.*", word)]
    rest = words[len(settings) :] or [""]
    assigned = ASSIGNED.match(line)
    if rest[0] in NOT_HERE or (assigned and assigned[1] in NOT_HERE):
        return ""
    command = re.sub(r"(^|\s)#.*", "", line)
    if PLACEHOLDER.search(command):
        if rest[0] == "streamloss":
            cli.cli.commands[rest[1]].make_context(rest[1], rest[2:]).close()
        return ""
    if rest[0] == "streamloss" and not settings and not SHELL.search(re.sub(r"'[^']*'", "", command)):
        code, printed = _run_here(rest[1:])
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        code, printed = done.returncode, done.stdout + (done.stderr if expected or done.returncode else "")
    assert code == (int(expected[1]) if expected else 0), f"{line}\nexit code {code}\n{printed}"
    return printed


def _run_here(arguments):
    """Run a command as on a terminal of 100 columns; return its code, and what it printed on stdout, then stderr."""
    out, err = io.StringIO(), io.StringIO()
    wanted, commands._wants_json = commands._wants_json, lambda form: form == "json"
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(arguments)
    finally:
        commands._wants_json = wanted
    said = [line for line in err.getvalue().splitlines(keepends=True) if "█" not in line]
    return code, click.unstyle(out.getvalue()) + ("".join(said))


def _tidy(printed):
    lines = [line.rstrip() for line in re.sub(r"\A(\s*\n)+", "", printed).rstrip().splitlines()]
    shortest = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "".join(f"{line[shortest:]}\n" for line in lines)


def main(path, folder):
    text = Path(path).read_text()
    target = Path(path).absolute()
    os.chdir(folder)
    shift = 0
    for match, block in run_blocks(text):
        if block.expected is not None:
            begin, end = match.start("printed") + shift, match.end("printed") + shift
            printed = _tidy(block.printed)
            text = text[:begin] + printed + text[end:]
            shift += len(printed) - (end - begin)
    target.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
