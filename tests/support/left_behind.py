"""Find what a test session leaves in the repository's root."""

import subprocess


def untracked(root):
    """Return the entries of `root` that git lists as untracked, and its Zarr stores, although git ignores them.

    What else git ignores (caches, `data/`, files of editors) is left out, and all of it where there is no repository.
    """
    entries = listed(root, "--exclude-standard") | listed(root, "--ignored", "--exclude=/*.zarr/")
    return {entry for entry in entries if "/" not in entry.rstrip("/")}


def listed(root, *options):
    command = ["git", "ls-files", "--others", "--directory", "-z", *options]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git
        return set()
    return {entry for entry in done.stdout.split("\0") if entry}
