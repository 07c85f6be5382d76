# SPDX-License-Identifier: Apache-2.0
"""The parameter table: declaration, validation, typed values, documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from nepi_ros.errors import ConfigError
from nepi_ros.nodes.parameters import Parameter, declare, markdown
from nepi_ros.tasks import task_mask

TABLE = (
    Parameter("deadline_ms", 150.0, "From an image's stamp to its results.", "ms", (1.0, 60000.0)),
    Parameter("count", 3, "How many.", range=(0, 9)),
    Parameter("bundle", "patrol", "Folder or name.", read_only=True),
    Parameter("colour", "red", "Which.", choices=("red", "blue")),
    Parameter("tasks", ("segmentation", "depth"), "What is wanted.", check=task_mask),
    Parameter("weights", (0.5, 1.0), "Shares.", range=(0.0, 1.0)),
    Parameter("enabled", True, "Whether."),
)


@pytest.fixture(scope="module")
def context() -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


@pytest.fixture
def make(context: rclpy.Context) -> Iterator[Any]:
    nodes: list[Node] = []

    def node(**values: Any) -> Node:
        overrides = [RosParameter(name, value=value) for name, value in values.items()]
        nodes.append(Node("parameters", context=context, parameter_overrides=overrides))
        return nodes[-1]

    yield node
    for each in nodes:
        each.destroy_node()


def set_one(node: Node, name: str, value: Any) -> str:
    """Set a parameter as `ros2 param set` does; the reason of a refusal, or "" """
    (result,) = node.set_parameters([RosParameter(name, value=value)])
    assert result.successful == (not result.reason)
    return result.reason


def test_defaults_and_types(make: Any) -> None:
    parameters = declare(make(), TABLE)
    assert dict(parameters) == {entry.name: entry.default for entry in TABLE}
    assert parameters.deadline_ms == 150.0 and parameters["tasks"] == ("segmentation", "depth")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = parameters.nonsense


def test_values_given_at_start(make: Any) -> None:
    node = make(deadline_ms=200, tasks=["depth"], bundle="kitchen", weights=[1, 0])
    parameters = declare(node, TABLE)
    assert (parameters.deadline_ms, parameters.tasks, parameters.bundle) == (200.0, ("depth",), "kitchen")
    assert parameters.weights == (1.0, 0.0)
    assert node.get_parameter("deadline_ms").value == 200.0


REFUSED = [
    ("deadline_ms", 0.5, "parameter deadline_ms is from 1 to 60000 ms, not 0.5"),
    ("deadline_ms", 60001, "parameter deadline_ms is from 1 to 60000 ms, not 60001"),
    ("deadline_ms", float("nan"), "parameter deadline_ms is a finite number (1 to 60000 ms), not nan"),
    ("deadline_ms", float("inf"), "parameter deadline_ms is a finite number (1 to 60000 ms), not inf"),
    ("deadline_ms", "fast", "parameter deadline_ms is a number, not 'fast'"),
    ("deadline_ms", True, "parameter deadline_ms is a number, not True"),
    ("count", 10, "parameter count is from 0 to 9, not 10"),
    ("count", 2.0, "parameter count is a whole number, not 2.0"),
    ("count", True, "parameter count is a whole number, not True"),
    ("colour", "green", "parameter colour is one of red, blue, not 'green'"),
    ("tasks", "depth", "parameter tasks is a list of texts, at least one, not 'depth'"),
    ("tasks", [], "parameter tasks is a list of texts, at least one, not []"),
    ("weights", [0.5, 2.0], "parameter weights is from 0 to 1, not 2"),
    ("enabled", 1, "parameter enabled is true or false, not 1"),
]


@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_refused_at_run_time(make: Any, name: str, value: Any, reason: str) -> None:
    node = make()
    parameters = declare(node, TABLE)
    before = parameters.snapshot()
    assert set_one(node, name, value) == reason
    assert parameters.snapshot() == before
    assert node.get_parameter(name).value == (list(before[name]) if isinstance(before[name], tuple) else before[name])


@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_refused_at_start(make: Any, name: str, value: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        declare(make(**{name: value}), TABLE)
    assert str(caught.value) == reason


def test_refused_by_a_check(make: Any) -> None:
    node = make()
    declare(node, TABLE)
    assert set_one(node, "tasks", ["driving"]).startswith("parameter tasks: ")
    assert "driving" in set_one(node, "tasks", ["driving"])


def test_read_only(make: Any) -> None:
    node = make()
    parameters = declare(node, TABLE)
    assert "bundle" in set_one(node, "bundle", "kitchen")
    assert parameters.bundle == "patrol"


def test_at_configure(make: Any) -> None:
    node, configured = make(), []
    parameters = declare(node, (Parameter("path", "a", "A path.", at_configure=True),), None, lambda: bool(configured))
    assert set_one(node, "path", "b") == "" and parameters.path == "b"
    configured.append(True)
    assert "path" in set_one(node, "path", "c")
    assert parameters.path == "b"


def test_changes_are_told_after_they_count(make: Any) -> None:
    seen = []
    parameters = None

    def on_change(names: frozenset[str]) -> None:
        seen.append((names, parameters.snapshot()))

    node = make()
    parameters = declare(node, TABLE, on_change)
    assert set_one(node, "deadline_ms", 80) == ""
    assert set_one(node, "deadline_ms", 80.0) == ""  # nothing new
    assert set_one(node, "count", 99) != ""
    assert [(names, values["deadline_ms"]) for names, values in seen] == [(frozenset({"deadline_ms"}), 80.0)]
    assert node.get_parameter("deadline_ms").value == 80.0


def test_together_or_not_at_all(make: Any) -> None:
    node = make()
    parameters = declare(node, TABLE)
    result = node.set_parameters_atomically([RosParameter("count", value=5), RosParameter("deadline_ms", value=0)])
    assert not result.successful and "deadline_ms" in result.reason and parameters.count == 3
    result = node.set_parameters_atomically([RosParameter("count", value=5), RosParameter("deadline_ms", value=90)])
    assert result.successful and (parameters.count, parameters.deadline_ms) == (5, 90.0)


def test_a_refusal_does_not_linger(make: Any) -> None:
    """One that rclpy itself cuts short (read-only comes first) must not refuse the next change."""
    node = make()
    parameters = declare(node, TABLE)
    node.set_parameters_atomically([RosParameter("count", value=99), RosParameter("bundle", value="x")])
    assert set_one(node, "count", 7) == "" and parameters.count == 7


def test_other_parameters_of_the_node_are_left_alone(make: Any) -> None:
    node = make()
    declare(node, TABLE)
    node.declare_parameter("other", 1)
    assert set_one(node, "other", 2) == "" and node.get_parameter("other").value == 2


def test_descriptors(make: Any) -> None:
    node = make()
    declare(node, TABLE)
    deadline, count, bundle, colour = node.describe_parameters(["deadline_ms", "count", "bundle", "colour"])
    assert deadline.type == ParameterType.PARAMETER_DOUBLE and deadline.description.endswith("Unit: ms.")
    assert (deadline.floating_point_range[0].from_value, deadline.floating_point_range[0].to_value) == (1.0, 60000.0)
    assert (count.integer_range[0].from_value, count.integer_range[0].to_value) == (0, 9)
    assert bundle.read_only and not count.read_only
    assert colour.additional_constraints == "one of: red, blue"


def test_markdown() -> None:
    lines = markdown(TABLE).splitlines()
    assert len(lines) == 2 + len(TABLE)
    assert lines[2] == (
        "| `deadline_ms` | `150` | 1 to 60000 ms | yes | From an image's stamp to its results. |"
    )
    assert lines[4].split(" | ")[3] == "no"
    assert "`[segmentation, depth]`" in lines[6] and "`true`" in lines[8]
