# SPDX-License-Identifier: Apache-2.0
"""The link between robot and edge: what it carries, what a message costs on it, what a frame may spend.

Knows neither ROS nor torch; time is a number of seconds that the caller passes in.
"""
