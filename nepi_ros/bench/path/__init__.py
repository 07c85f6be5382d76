# SPDX-License-Identifier: Apache-2.0
"""`nepi bench path`: recorded links, through the real nodes and real DDS."""
