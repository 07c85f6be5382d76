# SPDX-License-Identifier: Apache-2.0
"""The robot's sending node: camera images in, epitomes out.

Subscribes `image` (sensor_msgs/Image) or, with `image_transport` "compressed", `image/compressed`; and, from
result_node, `link_report`. Publishes `epitome` and `~/status`. Callbacks only leave the newest image for a worker
thread, which converts, encodes and sends as many layers as are useful for the tasks and fit the budget that
nepi_ros.link.control takes from the reports. What the edge has answered, later frames may be coded given. With
`hold_ms` a frame whose picture has only moved is not sent: `held` tells result_node how it moved. While the link is
dead, `fallback` runs a task here (`local/...`).
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from nepi_ros.bundle import Bundle, resolve_bundle
from nepi_ros.codec import Segment, SentFrames
from nepi_ros.codec.header import SEQUENCES
from nepi_ros.errors import ConfigError, ImageError
from nepi_ros.link.budget import DEAD, UNKNOWN, Budget, FrameReport, LinkState
from nepi_ros.link.control import ControlSettings, LinkControl
from nepi_ros.link.wire import wire_bytes
from nepi_ros.msg import EncoderStatus, Epitome, Held, LinkReport
from nepi_ros.nodes.encoder_state import EncoderState, LastFrame
from nepi_ros.nodes.epitomes import Cuts, OutgoingFrame, wire_size
from nepi_ros.nodes.fallback import Fallback
from nepi_ros.nodes.frame_encoder import FrameEncoder, Picture
from nepi_ros.nodes.holds import Holding
from nepi_ros.nodes.latency import nanoseconds
from nepi_ros.nodes.lifecycle import AUTOSTART, ManagedNode, run
from nepi_ros.nodes.mailbox import Worker
from nepi_ros.nodes.parameters import Parameter
from nepi_ros.nodes.ratelimit import RateLimit
from nepi_ros.nodes.results import giving_way
from nepi_ros.nodes.topics import FRAME_MESSAGES, newest
from nepi_ros.tasks import TASKS, task_mask

PARAMETERS = (
    Parameter("bundle", "patrol", "Folder or name of the bundle; the edge must use the same.", at_configure=True),
    Parameter(
        "image_transport", "raw", "Whether to subscribe image (raw) or image/compressed.",
        choices=("raw", "compressed"), at_configure=True,
    ),
    Parameter(
        "tasks", TASKS, "Tasks wanted of the edge, most important first: maps of the last shrink first.",
        choices=TASKS,
    ),
    Parameter(
        "deadline_ms", 150.0, "From an image's stamp to its results; when configured also the epitome's lifespan.",
        "ms", (1.0, 60000.0),
    ),
    Parameter(
        "target_hit_rate", 0.95, "Share of frames whose results are to be back by the deadline, in the long run.",
        range=(0.5, 0.999),
    ),
    Parameter(
        "min_bytes", 0, "Least that a frame may spend on the wire, whatever the link is found to carry.", "bytes",
        (0, 65535),
    ),
    Parameter("max_bytes", 65535, "Most that a frame may spend on the wire.", "bytes", (1, 65535)),
    Parameter(
        "pictures", False, "Whether frames may be sent as pictures while the link is wide and calm: closer to the "
        "untouched frame, for some ten times the bytes.",
    ),
    Parameter(
        "inter_frame", True, "Whether a frame may be coded given an earlier one that the edge has answered, by bundles "
        "that were trained on a video: half to two thirds of the bytes, less where more stays as it was.",
    ),
    Parameter(
        "hold_ms", 0.0, "How long a frame's results may stand, moved with the picture, for frames that are not sent, "
        "while it only moves; after half of this the next one is. What is small and new is seen so much later. 0 sends "
        "all.", "ms", (0.0, 10_000.0),
    ),
    Parameter(
        "capacity_override_kbps", 0.0, "What the link carries towards the edge; 0 has it measured.", "kbit/s",
        (0.0, 1e7),
    ),
    Parameter("probe", True, "Whether frames may quickly grow beyond what has been seen to arrive."),
    Parameter(
        "fallback", "", "Task to run on this computer while the link is dead, on local/TASK; empty for none.",
        choices=("", *TASKS),
    ),
    Parameter("max_rate_hz", 30.0, "Highest mean rate of frames; 0 sends every frame.", "Hz", (0.0, 1000.0)),
    Parameter("mtu", 1500, "Path MTU; a larger epitome is split at layer boundaries.", "bytes", (576, 65535)),
    Parameter("threads", 1, "Threads that the encoder computes with.", range=(1, 64), at_configure=True),
    AUTOSTART,
)  # fmt: skip

_STATUS_PERIOD_S = 0.1
_PLAUSIBLE_AGE_S = 10.0


@dataclass(frozen=True)
class Arrival:
    """A serialised image and when it came, in seconds of the monotonic clock."""

    data: bytes
    at: float


class EncoderNode(ManagedNode):
    """Sends the camera's frames as epitomes."""

    def __init__(self) -> None:
        self._bundle: Bundle | None = None
        self._worker: Worker[Arrival] | None = None
        self._rule = LinkControl()
        self._sent_frames, self._holding = SentFrames(), Holding()
        self._rule_lock = threading.Lock()  # reports come in the executor's thread, frames in the worker's
        self._told = EncoderState()
        self._fallback: Fallback | None = None
        self._link = UNKNOWN
        self._sequence = 0
        checks = {"tasks": self._check_tasks, "fallback": self._check_fallback}
        table = (replace(p, check=checks[p.name]) if p.name in checks else p for p in PARAMETERS)
        super().__init__("encoder_node", tuple(table))
        self.create_timer(_STATUS_PERIOD_S, self._tell, clock=self.steady)

    def configure(self) -> None:
        p = self.parameters
        bundle = Bundle.load(resolve_bundle(p.bundle))
        self._encoder = FrameEncoder(bundle, p.threads)
        self._bundle = bundle
        self._check_tasks(p.tasks)
        self._check_fallback(p.fallback)
        self._fallback = Fallback(self, bundle, p.threads)
        self._fallback.prepare(p.fallback)
        self._rule, self._link = LinkControl(self._settings()), UNKNOWN
        self._told = EncoderState()
        self._epitome = self.advertise(Epitome, "epitome", newest(FRAME_MESSAGES, p.deadline_ms / 1e3))
        self._held = self.advertise(Held, "held", newest(FRAME_MESSAGES))
        self._status = self.advertise(EncoderStatus, "~/status", newest())
        self.get_logger().info(f"bundle {bundle.name} ({bundle.id:016x})")
        if p.pictures and not bundle.pictures:
            self.get_logger().warning(f"`pictures` is set, but bundle {bundle.name} has none")

    def activate(self) -> None:
        self._limit = RateLimit()
        with self._rule_lock:
            self._rule.resume()
            self._sent_frames, self._holding = SentFrames(), Holding()
        self._worker = Worker("encoder", self._encode, self._failed)
        self._fallback.start()
        self._image_type, self._image_topic = Image, self.resolve_topic_name("image")
        if self.parameters.image_transport == "compressed":
            # As image_transport has it: below the name that `image` is remapped to.
            self._image_type, self._image_topic = CompressedImage, f"{self._image_topic}/compressed"
        self.listen(LinkReport, "link_report", self._on_report, newest(FRAME_MESSAGES))
        self.listen(self._image_type, self._image_topic, self._on_image, newest())

    def deactivate(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
            self._fallback.stop()

    def release(self) -> None:
        self._bundle = None
        self._fallback = None

    def changed(self, names: frozenset[str]) -> None:
        with self._rule_lock:
            self._rule.settings = self._settings()
            if "hold_ms" in names:
                self._holding = Holding()  # what was sent meanwhile it has not seen
        if "fallback" in names and self._fallback is not None:
            self._fallback.advertise(self.parameters.fallback)

    def values(self) -> Mapping[str, object]:
        bundle = {"bundle": f"{self._bundle.name} ({self._bundle.id:016x})"} if self._bundle else {}
        return {**bundle, "link": self._link, **self._told.values()}

    def trouble(self) -> str:
        if self._link != DEAD or self.state != "active":
            return ""
        local = f"; {self.parameters.fallback} runs here" if self.parameters.fallback else ""
        return (
            f"{self._epitome.topic_name}: nothing has come back for a deadline, the link is taken for dead{local}; "
            "is result_node running here, and edge_node in reach, with this robot among its `robots`?"
        )

    def _check_tasks(self, tasks: Sequence[str]) -> None:
        missing = [task for task in tasks if self._bundle is not None and task not in self._bundle.tasks]
        if missing:
            there = ", ".join(self._bundle.tasks)
            raise ConfigError(f"bundle {self._bundle.name} has no task {missing[0]!r}; set `tasks` to some of {there}")

    def _check_fallback(self, task: str) -> None:
        if task and self._bundle is not None and task not in self._bundle.tasks:
            there = ", ".join(self._bundle.tasks)
            raise ConfigError(f"bundle {self._bundle.name} has no task {task!r}; there are {there}")

    def _settings(self) -> ControlSettings:
        p = self.parameters
        return ControlSettings(
            p.deadline_ms / 1e3, p.target_hit_rate, p.min_bytes, p.max_bytes, p.capacity_override_kbps, p.probe
        )

    def _on_image(self, data: bytes) -> None:
        now = time.monotonic()
        self._told.totals.images_received += 1
        if not self._limit.passes(now, self.parameters.max_rate_hz) or self._worker.put(Arrival(data, now)):
            self._told.totals.frames_dropped += 1

    def _on_report(self, data: bytes) -> None:
        now = time.monotonic()
        message = self.read(data, LinkReport, "link_report")
        if message is None:
            return
        report = FrameReport(
            sequence=message.sequence,
            handover_s=message.handover_ns / 1e9,
            processing_s=message.processing_us / 1e6,
            bytes=message.bytes,
            layers=message.layers,
            spread_s=message.arrival_spread_us / 1e6,
            missed=message.missed,
            result_bytes=message.result_bytes,
            return_bytes=message.return_bytes,
            return_spread_s=message.return_spread_us / 1e6,
        )
        with self._rule_lock:
            accepted = self._rule.reported(now, report)
            known = self._bundle.latent_layers(report.layers)
            if accepted and (known or not report.layers):  # of a picture alone there is nothing to refer to
                self._sent_frames.reported(report.sequence, known)
            if accepted:
                self._holding.reported(report.sequence, report.layers > 0 and report.results_whole)
        if accepted:
            self._told.totals.frames_missed += report.missed
        else:
            self.problems.count("ignored_reports")

    # In the worker

    def _encode(self, arrival: Arrival) -> None:
        message = self.read(arrival.data, self._image_type, self._image_topic)
        if message is None:
            self._told.refused("not an image message")
        else:
            try:
                picture = self._encoder.picture(message)
                if not self._try_to_hold(arrival, message.header, picture):
                    self._send(arrival, message, picture)
            except ImageError as error:
                self._told.refused(str(error))
                self.problems.report("bad_image", f"{self._image_topic}: {error}")

    def _try_to_hold(self, arrival: Arrival, header: Header, picture: Picture) -> bool:
        """Tell result_node of a frame that need not be sent; whether it is one. While the link is dead, none waits for
        results that are not there."""
        p = self.parameters
        if not p.hold_ms:
            return False
        limits_s = p.hold_ms / 1e3, 0.0 if self._link == DEAD else p.deadline_ms / 1e3
        held = self._holding.held(arrival.at, header, picture.glimpse, task_mask(p.tasks), *limits_s)
        if held is None:
            return False
        self._held.publish(held)
        self._told.held()
        return True

    def _send(self, arrival: Arrival, message: Image | CompressedImage, picture: Picture) -> None:
        """Encode a frame, cut it to its budget and publish it, or skip it when not even one layer fits."""
        p, header = self.parameters, message.header
        tasks, mtu = p.tasks, p.mtu
        with self._rule_lock:
            before = self._sent_frames.before(self._sequence) if p.inter_frame else None
        encoded = self._encoder.encode(picture, tasks, p.pictures, before.earlier if before else None)
        cuts = Cuts(encoded, self._bundle.profile_of(tasks).accuracies_of(tasks), header.frame_id, mtu)
        least, choices = cuts.least_bytes(), cuts.choices()
        with self._rule_lock:
            budget = self._rule.budget(time.monotonic(), self._age(message, arrival), least, choices)
            dead = self._rule.state(time.monotonic()).link == DEAD
        segments = cuts.within(budget.bytes)
        if segments:
            grant = budget.result_bytes, giving_way(tasks)
            back = before.back_from(self._sequence) if before and encoded.latent.after else 0
            size, mask = picture.box.source_size, task_mask(tasks)
            frame = OutgoingFrame(header, self._sequence, self._bundle.id, mask, *size, *grant, back)
            with self._rule_lock:
                self._sent_frames.sent(self._sequence, encoded.latent)
                if p.hold_ms:
                    self._holding.sent(arrival.at, header, picture.glimpse, mask, self._sequence)
            self._hand_over(arrival, frame, segments, budget, mtu)
        else:
            self._told.skipped(budget)
            self.problems.report("skipped", f"{self._image_topic}: frame not sent: {budget.reason}")
        if dead and p.fallback:
            self._fallback.put(p.fallback, message)

    def _hand_over(
        self, arrival: Arrival, frame: OutgoingFrame, segments: Sequence[Segment], budget: Budget, mtu: int
    ) -> None:
        """Publish a frame's messages, the first of them twice where the budget says so and has the room."""
        handover_ns = time.monotonic_ns()
        messages = frame.messages(segments, handover_ns)
        spent, first = wire_size(segments, frame.header.frame_id, mtu), wire_bytes(len(messages[0]), mtu)
        if budget.repeat and spent + first <= budget.bytes:
            messages, spent, first = [*messages, messages[0]], spent + first, 2 * first
        layers = segments[-1].stop
        with self._rule_lock:
            self._rule.sent(
                handover_ns / 1e9, self._sequence, spent, first, layers if layers > len(self._bundle.layers) else 0
            )
            self._rule.encoded(handover_ns / 1e9 - arrival.at)
        for serialised in messages:
            self._epitome.publish(serialised)
        self._sequence = (self._sequence + 1) % SEQUENCES
        self._told.sent(LastFrame(budget.bytes, budget.result_bytes, layers, sum(map(len, messages)), frame.back))

    def _age(self, message: Image | CompressedImage, arrival: Arrival) -> float:
        """Seconds since the image's stamp, or since its arrival when the stamp is not of this clock."""
        age = (self.get_clock().now().nanoseconds - nanoseconds(message.header.stamp)) / 1e9
        return age if 0.0 <= age <= _PLAUSIBLE_AGE_S else time.monotonic() - arrival.at

    def _failed(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        self._told.refused(reason)
        self.problems.report("failed", f"{self._image_topic}: frame failed ({reason}); going on with the next")
        self.get_logger().debug("".join(traceback.format_exception(error)))

    # Ten times a second

    def _tell(self) -> None:
        """Publish the status; a link that dies or returns shows at once."""
        if self.state != "active":
            return
        with self._rule_lock:
            link = self._rule.state(time.monotonic())
        self._told.totals.frames_local = self._fallback.frames
        self._note(link)
        message = self._told.message(link, task_mask(self.parameters.tasks))
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def _note(self, link: LinkState) -> None:
        before, self._link = self._link, link.link
        if before == link.link:
            return
        if link.link == DEAD:
            self.problems.report("link_dead", self.trouble())
        elif before == DEAD:
            self.get_logger().info(f"{self._epitome.topic_name}: the edge answers again")
        self.publish_diagnostics()


def main(args: Sequence[str] | None = None) -> None:
    """Run the node until it is told to stop."""
    run(EncoderNode, args)


if __name__ == "__main__":
    main()
