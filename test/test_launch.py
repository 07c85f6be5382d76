# SPDX-License-Identifier: Apache-2.0
"""The launch files: their arguments, the commands they come to, and nodes that really start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

# Not `launch`: without ROS 2 that name finds the folder of the launch files.
launch_ros = pytest.importorskip("launch_ros", reason="launch_ros comes only with an installed ROS 2")
from ament_index_python.packages import PackageNotFoundError, get_package_prefix  # noqa: E402
from launch import LaunchContext, LaunchDescription, LaunchService  # noqa: E402
from launch.actions import (  # noqa: E402
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from ros_process import Client  # noqa: E402

from nepi_ros.msg import Classification  # noqa: E402
from nepi_ros.nodes.topics import newest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
FILES = ("robot", "edge", "demo")


def description_of(name: str) -> LaunchDescription:
    path = ROOT / "launch" / f"{name}.launch.py"
    return PythonLaunchDescriptionSource(str(path)).get_launch_description(LaunchContext())


def flattened(entities: list[Any], context: LaunchContext) -> list[Any]:
    """Entities with those that they expand to; nothing is started."""
    found = []
    for entity in entities:
        found.append(entity)
        if isinstance(entity, launch_ros.actions.Node):
            entity._perform_substitutions(context)
        else:
            found += flattened(entity.visit(context) or [], context)
    return found


def nodes_of(name: str, **arguments: str) -> dict[str, launch_ros.actions.Node]:
    """The nodes that a launch file would start, by executable."""
    context = LaunchContext()
    for argument, value in arguments.items():
        SetLaunchConfiguration(argument, value).visit(context)
    entities = flattened(description_of(name).entities, context)
    nodes = [entity for entity in entities if isinstance(entity, launch_ros.actions.Node)]
    return {node.node_executable: node for node in nodes}


def parameters_of(node: launch_ros.actions.Node) -> dict[str, Any]:
    """The parameters that the launch file sets itself, over those of its params_file."""
    file = Path(node._Node__expanded_parameter_arguments[-1][0])
    (section,) = yaml.full_load(file.read_text()).values()  # launch_ros writes tuples
    return section["ros__parameters"]


@pytest.mark.parametrize("name", FILES)
def test_every_argument_is_described(name: str) -> None:
    arguments = [e for e in description_of(name).entities if isinstance(e, DeclareLaunchArgument)]
    assert {"bundle", "log_level", "params_file"} <= {argument.name for argument in arguments}
    assert all(argument.description and argument.default_value is not None for argument in arguments)


def test_files_start_their_nodes() -> None:
    assert set(nodes_of("robot")) == {"encoder_node", "result_node"}
    assert set(nodes_of("edge")) == {"edge_node"}
    assert set(nodes_of("demo")) == {path.stem for path in (ROOT / "nepi_ros/nodes").glob("*_node.py")}


def test_empty_arguments_leave_the_parameter_file_alone() -> None:
    (file,) = nodes_of("robot")["encoder_node"]._Node__expanded_parameter_arguments
    assert Path(file[0]).name == "robot.yaml"


def test_arguments_reach_the_nodes() -> None:
    node = nodes_of("robot", namespace="robot_1", bundle="kitchen", autostart="false")["encoder_node"]
    assert parameters_of(node) == {"autostart": False, "bundle": "kitchen"}
    assert parameters_of(nodes_of("robot", use_sim_time="true")["encoder_node"]) == {"use_sim_time": True}
    assert node.expanded_node_namespace == "/robot_1"
    edge = nodes_of("edge", robots="[robot_1, robot_2]")["edge_node"]
    assert list(parameters_of(edge)["robots"]) == ["robot_1", "robot_2"]


def test_image_topic_takes_its_companions_along() -> None:
    node = nodes_of("robot", image="/camera/image_raw")["encoder_node"]
    assert node.expanded_remapping_rules == [
        ("image", "/camera/image_raw"),
        ("image/compressed", "/camera/image_raw/compressed"),
        ("camera_info", "/camera/camera_info"),
    ]


@pytest.mark.parametrize("argument", ["log_level", "use_sim_time", "autostart"])
def test_choices_are_checked(argument: str) -> None:
    with pytest.raises(RuntimeError, match="Valid options"):
        nodes_of("robot", **{argument: "perhaps"})


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    from tiny_bundle import make_tiny_bundle

    return make_tiny_bundle(tmp_path / "tiny").path


@pytest.fixture
def client() -> Iterator[Client]:
    try:
        get_package_prefix("nepi_ros")
    except (PackageNotFoundError, OSError):
        pytest.skip("the launch files start installed nodes, and nepi_ros is not installed in this environment")
    client = Client()
    yield client
    client.close()


def test_robot_and_edge_come_up(client: Client, tiny_bundle: Path) -> None:
    files = {
        "robot": {"namespace": "robot_1", "bundle": str(tiny_bundle)},
        "edge": {"namespace": "edge", "robots": "[/robot_1]", "bundle": str(tiny_bundle)},
    }
    nodes = ("robot_1/encoder_node", "robot_1/result_node", "edge/edge_node")
    came_up = launch_until(lambda: all(_is_active(client, node) for node in nodes), files, timeout_s=60)
    assert came_up, f"diagnostics: {client.diagnostics}"


def test_demo_brings_results(client: Client, tiny_bundle: Path, tmp_path: Path) -> None:
    from tiny_bundle import tiny_frames

    for index, frame in enumerate(tiny_frames(5)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), frame)
    heard: list[Classification] = []
    client.node.create_subscription(Classification, "/robot/classification", heard.append, newest())
    came = launch_until(
        lambda: len(heard) >= 3, {"demo": {"bundle": str(tiny_bundle), "source": str(tmp_path)}}, timeout_s=60
    )
    assert came, f"diagnostics: {client.diagnostics}"


def _is_active(client: Client, node: str) -> bool:
    status = client.diagnostics.get(node)
    return status is not None and "active" in {status.message, *(pair.value for pair in status.values)}


def launch_until(condition: Callable[[], bool], files: Mapping[str, Mapping[str, str]], timeout_s: float) -> bool:
    """Run launch files until a condition holds; whether it came to hold."""
    service = LaunchService(noninteractive=True)
    for name, arguments in files.items():
        source = PythonLaunchDescriptionSource(str(ROOT / "launch" / f"{name}.launch.py"))
        include = IncludeLaunchDescription(source, launch_arguments=arguments.items())
        # A group: the arguments of one file are not those of the next.
        service.include_launch_description(LaunchDescription([GroupAction([include])]))

    async def watch() -> bool:
        running = asyncio.ensure_future(service.run_async())
        end = time.monotonic() + timeout_s
        while not (held := condition()) and not running.done() and time.monotonic() < end:
            await asyncio.sleep(0.1)
        stopping = service.shutdown()
        if stopping is not None:
            await stopping
        await running
        return held

    return asyncio.run(watch())
