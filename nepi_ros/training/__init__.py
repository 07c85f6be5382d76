# SPDX-License-Identifier: Apache-2.0
"""Training of target networks and codec. The only room with torch."""
