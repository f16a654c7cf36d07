"""A device that gives other numbers from run to run: C by a compiler that makes softmax noisy."""

import os
import stat

ALIAS = "[pytest]\nmutatenn_aliases = noisy = c:cc=noisycc,-O1\n"
AMPLITUDE = 1e-4  # of each score, relative

_COMPILER = """#!/bin/sh
# where a kernel divides by the sum of exponentials, a factor is added
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
# Each process has a factor of its own, by turns above and below one, and always a little nearer to
# it: so no two are the same, and what comes later is no farther from the first than the second is.
_NOISE = f"""#include <stdio.h>
#include <unistd.h>
static float noise(void) {{
  static int process, runs;
  if (process != getpid()) {{
    process = getpid();
    runs = 0;
    FILE *file = fopen("FOLDER/runs", "r");
    if (file) {{ fscanf(file, "%d", &runs); fclose(file); }}
    file = fopen("FOLDER/runs", "w");
    fprintf(file, "%d", runs + 1);
    fclose(file);
  }}
  float size = {AMPLITUDE}f * (1.0f - 0.005f * (float)(runs % 200));
  return runs % 2 ? 1.0f - size : 1.0f + size;
}}
"""


def noisy_compiler(folder, monkeypatch):
    """Put a compiler `noisycc` into the PATH; the ini file of `ALIAS` has a device of it."""
    folder.mkdir(exist_ok=True)
    (folder / "noise.h").write_text(_NOISE.replace("FOLDER", str(folder)))
    compiler = folder / "noisycc"
    compiler.write_text(_COMPILER.replace("FOLDER", str(folder)))
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
