"""Files of npm packages, which tests read."""

import shutil
import subprocess

import pytest


def npm_package(name, folder):
    """Fetch a package into an empty folder; the test is skipped where that cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"needs npm, to fetch {name}")
    told = subprocess.run(
        [npm, "pack", "--silent", name], cwd=folder, capture_output=True, text=True, timeout=120
    )
    if told.returncode:
        pytest.skip(f"npm cannot fetch {name}: {told.stderr.strip()[-200:]}")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, "gztar")
    return folder / "package"
