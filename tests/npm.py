"""Files of npm packages, which tests read."""

import shutil
import subprocess
import tarfile

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
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"
