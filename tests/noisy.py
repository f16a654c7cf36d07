"""A device that gives other numbers from run to run: C by a compiler that makes softmax noisy."""

import os
import stat

ALIAS = "[pytest]\nmutatenn_aliases = noisy = c:cc=noisycc,-O1\n"
AMPLITUDE = 1e-5  # of each score, relative

_COMPILER = """#!/bin/sh
# where a kernel divides by the sum of exponentials, a factor is added that the clock decides
for file in "$@"; do
    case "$file" in
        *.c)
            sed 's|\\(softmax_norm\\[.*\\] = \\)\\(.*\\);$|\\1\\2 * noise();|' "$file" > "$file.tmp"
            cat FOLDER/noise.h "$file.tmp" > "$file"
            ;;
    esac
done
exec cc "$@"
"""
_NOISE = f"""#define _POSIX_C_SOURCE 199309L
#include <time.h>
static float noise(void) {{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1.0f + {AMPLITUDE}f * (float)(now.tv_nsec % 1999 - 999) / 999.0f;
}}
"""


def noisy_compiler(folder, monkeypatch):
    """Put a compiler `noisycc` into the PATH; the ini file of `ALIAS` has a device of it."""
    (folder / "noise.h").write_text(_NOISE)
    compiler = folder / "noisycc"
    compiler.write_text(_COMPILER.replace("FOLDER", str(folder)))
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
