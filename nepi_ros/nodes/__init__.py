# SPDX-License-Identifier: Apache-2.0
"""The ROS nodes: thin; they call the other rooms."""
