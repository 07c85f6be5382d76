# SPDX-License-Identifier: Apache-2.0
"""Tasks: what a network's output becomes, and how good it is. Knows neither ROS nor bundles."""

from nepi_ros.tasks.masks import TASKS, task_mask, task_names
from nepi_ros.tasks.meters import IouMeter, Meter, RootMeter, ShareMeter
from nepi_ros.tasks.registry import REGISTRY, Task
from nepi_ros.tasks.spec import TaskSpec

__all__ = [
    "REGISTRY",
    "TASKS",
    "IouMeter",
    "Meter",
    "RootMeter",
    "ShareMeter",
    "Task",
    "TaskSpec",
    "task_mask",
    "task_names",
]
