# SPDX-License-Identifier: Apache-2.0
"""Errors a user can cause. Each message names the file, topic or parameter and says what to do."""


class NepiError(Exception):
    """Base of every error that has an explanation for the user."""


class BundleError(NepiError):
    """A bundle is missing, damaged, or not of this version."""


class CodecError(NepiError):
    """An epitome is damaged, truncated, or made with another bundle."""


class ImageError(NepiError):
    """An image message cannot be converted."""


class ConfigError(NepiError):
    """A parameter or configuration file holds something unusable."""


class TraceError(NepiError):
    """A link trace cannot be read."""
