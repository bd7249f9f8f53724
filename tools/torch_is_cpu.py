"""Stop, with the line to type, when pip would bring a CUDA build of torch (gigabytes) instead of the CPU build.

Usage: torch_is_cpu.py VERSION. Exit 0 when a CPU build is installed or would be; 2 otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

ADVICE = """\
torch {wanted} would come as a CUDA build. Install the CPU build first, from the vendor's CPU index:
    {python} -m pip install torch=={wanted} --index-url URL_OF_THE_CPU_INDEX
then type the same make command again."""


def main() -> int:
    wanted = sys.argv[1]
    try:
        if version("torch").split("+")[0] == wanted:
            return 0
    except PackageNotFoundError:
        pass
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report", "-"]
    dry_run = [*pip, "--no-deps", "--ignore-installed", f"torch=={wanted}"]
    found = subprocess.run(dry_run, capture_output=True, text=True, check=False)
    if found.returncode == 0 and any("+cpu" in i["metadata"]["version"] for i in json.loads(found.stdout)["install"]):
        return 0
    print(ADVICE.format(wanted=wanted, python=sys.executable), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
