# SPDX-License-Identifier: Apache-2.0
"""Camera frames as epitomes: the few hundred bytes that perception networks at the edge need."""

from pkgutil import extend_path

# A source checkout finds the generated nepi_ros.msg of an installed package beside its own modules.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
