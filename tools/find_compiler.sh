#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Says what is missing when there is no C and C++ compiler to build the messages with.

for kind in "${CC:-cc}" "${CXX:-c++}"; do
    command -v "${kind%% *}" >/dev/null 2>&1 || {
        echo "nepi_ros: no compiler '$kind' found (Debian, Ubuntu: apt install g++)" >&2
        exit 1
    }
done
