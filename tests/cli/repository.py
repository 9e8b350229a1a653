"""A small git repository of commits, made by a test, whose program observes a loss."""

import os
import pathlib
import shutil
import subprocess
import sys

SMALL = pathlib.Path(__file__).resolve().parent / "programs" / "small_program.py"
WHO = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
       for key, value in (("NAME", "x"), ("EMAIL", "x@x"), ("DATE", "2026-01-01T00:00:00Z"))}
TRAIN = """import pathlib, runpy, sys
here = pathlib.Path(__file__).parent
sys.argv += (here / "flags.txt").read_text().split() + (here / "built.txt").read_text().split()
runpy.run_path(str(here / "small_program.py"), run_name="__main__")
"""


class Repository:
    """Its program, train.py, has the flags of flags.txt beside its own, and needs what build.sh makes."""

    def __init__(self, folder):
        self.folder = folder
        self.commits = []
        folder.mkdir()
        self.git("init", "-q")
        shutil.copy(SMALL, folder)
        (folder / "train.py").write_text(TRAIN)
        self.files = {"flags.txt": "", "build.sh": "echo building; echo > built.txt\n"}

    def git(self, *arguments):
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, text=True, capture_output=True,
                              env={**os.environ, **WHO}).stdout.strip()

    def commit(self, title, **files):
        """Of files by their names without an ending: flags, build. Returns the hash."""
        for name in self.files:
            stem = name.split(".")[0]
            self.files[name] = files.get(stem, self.files[name])
            (self.folder / name).write_text(self.files[name])
        self.git("add", ".")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def arm(self, commit, **more):
        return {"commit": commit, "repository": str(self.folder), "build": ["sh", "build.sh"],
                "command": [sys.executable, "train.py", "{out}", "--steps", "{steps}"], **more}
