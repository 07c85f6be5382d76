# SPDX-License-Identifier: Apache-2.0
"""The smaller subcommands of `nepi`. Each module has add_arguments(parser) and main(arguments) -> exit status."""
