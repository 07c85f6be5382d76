# SPDX-License-Identifier: Apache-2.0
"""Make this project's messages in a virtual environment that holds ROS 2 as wheels from PyPI.

Run with the environment's own interpreter, from the Makefile:

    .venv/bin/python tools/wheel_prefix.py

The wheels lay the environment out like an installed ROS prefix, so plain CMake generates and installs messages
there, after one repair: the CMake targets that the wheels export name the include folders of the image that built
them. Where ROS 2 itself is installed none of this is needed: use colcon.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
BUILD = SOURCE / "build" / "messages"

# As the wheels' builders name them: /opt/python/cp311-cp311/include/python3.11 and .../numpy/_core/include.
_PYTHON_INCLUDE = re.compile(r'[^";\s]*/cp3\d+-cp3\d+/include/python3\.\d+')
_NUMPY_INCLUDE = re.compile(r'[^";\s]*/cp3\d+-cp3\d+/[^";\s]*/numpy/_?core/include')


def repair_exports(prefix: Path, python_include: str, numpy_include: str) -> int:
    """Point the exported CMake targets under `prefix` at this interpreter's headers; returns the files changed."""
    changed = 0
    for path in prefix.glob("share/*/cmake/*Export.cmake"):
        text = path.read_text()
        repaired = _NUMPY_INCLUDE.sub(lambda _: numpy_include, text)
        repaired = _PYTHON_INCLUDE.sub(lambda _: python_include, repaired)
        if repaired != text:
            # A new file, not a rewrite in place: installers may have hard-linked this one to a shared cache.
            fresh = path.with_suffix(".repaired")
            fresh.write_text(repaired)
            fresh.replace(path)
            changed += 1
    return changed


def generate(prefix: Path, build: Path, log: Path) -> None:
    """Generate, compile and install the messages into `prefix`. Raises CalledProcessError; the output is in `log`."""
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    environment = dict(os.environ, AMENT_PREFIX_PATH=str(prefix), PATH=f"{prefix}/bin{os.pathsep}{os.environ['PATH']}")
    configure = [
        "cmake", "-S", str(SOURCE), "-B", str(build), "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
    ]  # fmt: skip
    # Of the installation only the messages: the checkout's own Python modules are used where they lie.
    install = ["cmake", "--install", str(build), "--component", "Unspecified"]
    with log.open("w") as output:
        for command in (configure, ["cmake", "--build", str(build)], install):
            subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=True)
    _give_way_to_the_checkout(Path(sysconfig.get_path("platlib")))


def _give_way_to_the_checkout(site_packages: Path) -> None:
    """Leave of the installed Python package only what the checkout lacks: the generated `msg`.

    Its empty `__init__.py` would hide the checkout's, and its metadata would be taken for an installed nepi_ros.
    """
    package = site_packages / "nepi_ros"
    (package / "__init__.py").unlink(missing_ok=True)
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    for metadata in site_packages.glob("nepi_ros-*.egg-info"):
        shutil.rmtree(metadata)


def main() -> int:
    """Repair the exported targets, then make the messages; returns the exit status."""
    if sys.prefix == sys.base_prefix:
        print(f"{sys.executable} is not in a virtual environment; run: make", file=sys.stderr)
        return 2
    import numpy  # not needed by a reader of this file, and slow to import

    prefix = Path(sys.prefix)
    repair_exports(prefix, sysconfig.get_path("include"), numpy.get_include())
    log = BUILD.parent / "messages.log"
    log.parent.mkdir(exist_ok=True)
    try:
        generate(prefix, BUILD, log)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        print("".join(log.read_text().splitlines(keepends=True)[-25:]), file=sys.stderr)
        print(f"making the messages failed ({error}); the whole output is in {log}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
