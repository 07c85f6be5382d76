# SPDX-License-Identifier: Apache-2.0
"""The measuring bench: how good an epitome is beside everything one would pick instead, on real frames."""
