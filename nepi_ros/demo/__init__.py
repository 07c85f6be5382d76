# SPDX-License-Identifier: Apache-2.0
"""`nepi demo`: a camera, a robot, a thin link and an edge on one machine, and what came of it."""
