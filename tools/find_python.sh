#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a Python that can hold the virtual environment: version 3.10 to 3.13, able to make
# environments with pip, and with the headers that the generated messages are compiled against.
# Prints what is missing, and how to get it, when there is none.

reasons=""

usable() {
    # Answers on one line: "ok PATH", or what is missing.
    "$1" -c '
import os, sys, sysconfig
here = sys.executable + ", Python %d.%d" % sys.version_info[:2]
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(print(here + ": needs Python 3.10 to 3.13"))
try:
    import ensurepip, venv
except ImportError:
    sys.exit(print(here + ": cannot make virtual environments (Debian, Ubuntu: apt install python3-venv)"))
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    sys.exit(print(here + ": has no headers, Python.h (Debian, Ubuntu: apt install python3-dev)"))
print("ok " + sys.executable)
' 2>&1 || echo "$1: does not run"
}

if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.13 python3.12 python3.11 python3.10
fi
for candidate in "$@"; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    answer=$(usable "$candidate" | head -n 1)
    case $answer in
        "ok "*) echo "${answer#ok }"; exit 0 ;;
        *) reasons="$reasons
  $answer" ;;
    esac
done

echo "nepi_ros: no Python found that serves.${reasons:-
  There is none at all (Debian, Ubuntu: apt install python3 python3-venv python3-dev)}
  Another one can be named: make PYTHON=/path/to/python3.12" >&2
exit 1
