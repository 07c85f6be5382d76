# SPDX-License-Identifier: Apache-2.0
"""A node's parameters as a table of data: it declares, validates, documents and gives typed access.

A node has one table and one `ParameterSet`:

    TABLE = (
        Parameter("deadline_ms", 150.0, "From an image's stamp to its results.", "ms", (1.0, 60000.0)),
        Parameter("bundle", "patrol", "Folder or name of the bundle.", read_only=True),
    )
    self.parameters = declare(self, TABLE, self._on_change)
    self.parameters.deadline_ms
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from nepi_ros.errors import ConfigError, NepiError

OnChange = Callable[[frozenset[str]], None]
Value = bool | int | float | str | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Parameter:
    """One parameter. Its type is that of `default`; a tuple is a list, of at least one element.

    `range` holds the lowest and highest value (both allowed), also of each element of a list; `choices` what
    a text, or each element of a list, may be. `check` gets a value of the right type and range and raises a
    NepiError when it will not do. A `read_only` parameter can be set at start only, one that is taken
    `at_configure` by a lifecycle node only while the node is unconfigured.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False
    at_configure: bool = False
    check: Callable[[Any], object] | None = None

    def accept(self, value: Any) -> Value:
        """The value in this parameter's type: a whole number will do for a float, any sequence for a list.

        Raises:
            ConfigError: the value will not do; names the parameter, the range and the unit.
        """
        if isinstance(self.default, tuple):
            accepted = self._accept_list(value)
        else:
            accepted = self._accept_one(value, type(self.default))
        if self.check is not None:
            try:
                self.check(accepted)
            except NepiError as error:
                raise ConfigError(f"parameter {self.name}: {error}") from error
        return accepted

    def _accept_list(self, value: Any) -> Value:
        kind = type(self.default[0])
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) == 0:
            what = f"a list of {_PLURALS[kind]}, at least one"
            raise ConfigError(f"parameter {self.name} is {what}, not {value!r}")
        return tuple(self._accept_one(element, kind) for element in value)

    def _accept_one(self, value: Any, kind: type) -> Value:
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f"parameter {self.name} is {_KINDS[kind]}, not {value!r}")
        if self.choices and value not in self.choices:
            raise ConfigError(f"parameter {self.name} is one of {', '.join(self.choices)}, not {value!r}")
        if kind is float and not math.isfinite(value):
            raise ConfigError(f"parameter {self.name} is a finite number ({self.limits}), not {value}")
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(f"parameter {self.name} is from {self.limits}, not {value:.10g}")
        return value

    @property
    def limits(self) -> str:
        """The range with its unit, as in "1 to 60000 ms"; without one the choices or the unit."""
        if self.range is None:
            return ", ".join(self.choices) or self.unit
        return f"{self.range[0]:.10g} to {self.range[1]:.10g} {self.unit}".rstrip()

    def descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        unit = f" Unit: {self.unit}." if self.unit else ""
        descriptor = ParameterDescriptor(
            description=self.description + unit,
            read_only=self.read_only,
            additional_constraints=f"one of: {', '.join(self.choices)}" if self.choices else "",
        )
        if self.range is not None and isinstance(self.default, float):
            low, high = map(float, self.range)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif self.range is not None and isinstance(self.default, int):
            low, high = map(int, self.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        return descriptor


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_PLURALS = {bool: "truth values", int: "whole numbers", float: "numbers", str: "texts"}


class ParameterSet(Mapping[str, Value]):
    """The current values of a node's declared parameters, by attribute or by name.

    Reading is safe from any thread: a change replaces all values at once, so `snapshot` is consistent.
    """

    def __init__(
        self, table: Iterable[Parameter], on_change: OnChange | None = None, configured: Callable[[], bool] = bool
    ) -> None:
        self.table = {parameter.name: parameter for parameter in table}
        self._on_change = on_change
        self._configured = configured
        self._values: dict[str, Value] = {name: p.default for name, p in self.table.items()}
        self._refusal = ""

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"no parameter {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def snapshot(self) -> dict[str, Value]:
        """All values at one moment."""
        return dict(self._values)

    # rclpy compares with the descriptor between the pre-set and the on-set callback, and its reasons name
    # neither the unit nor, for a wrong type, the parameter. So values are judged before, and refused after.

    def _judge(self, parameters: list[RosParameter]) -> list[RosParameter]:
        self._refusal = ""
        return [self._judged(parameter) for parameter in parameters]

    def _judged(self, parameter: RosParameter) -> RosParameter:
        entry = self.table.get(parameter.name)
        if entry is None or entry.read_only:
            return parameter
        try:
            return _ros_parameter(entry, self._accept(entry, parameter.value))
        except ConfigError as error:
            self._refusal = self._refusal or str(error)
            return _ros_parameter(entry, self._values[entry.name])

    def _accept(self, entry: Parameter, value: Any) -> Value:
        accepted = entry.accept(value)
        if entry.at_configure and accepted != self._values[entry.name] and self._configured():
            raise ConfigError(
                f"parameter {entry.name} can be changed only while the node is unconfigured; "
                "deactivate it and clean it up first"
            )
        return accepted

    def _deliver(self, parameters: list[RosParameter]) -> SetParametersResult:
        refusal, self._refusal = self._refusal, ""
        return SetParametersResult(successful=not refusal, reason=refusal)

    def _apply(self, parameters: list[RosParameter]) -> None:
        new = {p.name: self.table[p.name].accept(p.value) for p in parameters if p.name in self.table}
        changed = frozenset(name for name, value in new.items() if value != self._values[name])
        self._values = {**self._values, **new}
        if changed and self._on_change is not None:
            self._on_change(changed)


def declare(
    node: Node,
    table: Iterable[Parameter],
    on_change: OnChange | None = None,
    configured: Callable[[], bool] = bool,
) -> ParameterSet:
    """Declare the parameters of a table on a node.

    `on_change` is called after values have changed at run time, with the names of those that did. `configured`
    tells whether a lifecycle node is configured at the moment.

    Raises:
        ConfigError: a value given at start will not do.
    """
    parameters = ParameterSet(table, on_change, configured)
    overrides = node._parameter_overrides  # rclpy has no public access to them before the declaration
    for name, entry in parameters.table.items():
        value = overrides[name].value if name in overrides else entry.default
        accepted = entry.accept(value)
        node.declare_parameter(name, _ros_value(accepted), entry.descriptor(), ignore_override=True)
        parameters._values[name] = accepted
    node.add_pre_set_parameters_callback(parameters._judge)
    node.add_on_set_parameters_callback(parameters._deliver)
    node.add_post_set_parameters_callback(parameters._apply)
    return parameters


def markdown(table: Iterable[Parameter]) -> str:
    """The table as documentation in Markdown, one row per parameter."""
    lines = ["| parameter | default | range | at run time | meaning |", "| --- | --- | --- | --- | --- |"]
    for entry in table:
        change = "no" if entry.read_only else "unconfigured" if entry.at_configure else "yes"
        cells = (f"`{entry.name}`", _shown(entry.default), entry.limits, change, entry.description)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        elements = ", ".join(str(element) or '""' for element in value)
        return f"`[{elements}]`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value:.10g}`"


def _ros_value(value: Value) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _ros_parameter(entry: Parameter, value: Value) -> RosParameter:
    return RosParameter(entry.name, value=_ros_value(value))
