"""The processes that a store's users have started."""

import os

import psutil


def sandboxes(store):
    """Processes whose temporary folder is in the store: zygotes, children, what those forked."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(os.fspath(store)):
                found.append(process)
        except psutil.Error:
            continue
    return found
