# SPDX-License-Identifier: Apache-2.0
"""Bundles: folders with everything robot and edge must agree on. Read and verify, find, write.

Files in the folder that bundle.json does not list (a README, training logs) are never read and do no harm.
"""

import contextlib
import datetime
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nepi_ros.bundle_files import (
    CLASS_TABLES,
    FORMAT,
    METADATA,
    RESTORE,
    beside,
    checked_name,
    file_hash,
    identity,
    read_metadata,
    verify_files,
)
from nepi_ros.codec.arrangement import LayerShape
from nepi_ros.codec.classtables import MAX_CLASSES, ClassTables
from nepi_ros.codec.layered import Kind, LayeredCoder
from nepi_ros.codec.picture import PictureFormat
from nepi_ros.codec.tables import MAX_LAYERS, EntropyTables
from nepi_ros.compressed import MAX_SIDE
from nepi_ros.errors import BundleError, CodecError
from nepi_ros.profile import Profile
from nepi_ros.tasks import REGISTRY, TASKS, TaskSpec, task_mask

_MOST_BESIDE = 100
"""How many times as much as networks that look at a picture answers beside it may count."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle. `input_size` is (width, height). `layers` are the latent's, most important first; where some
    are of a map of classes, there are `class_tables`. After them come `pictures`, smallest first, which count as a
    layer each. `answers`: the tasks that the decoder answers itself; for the networks of others it paints an image.

    `profile` is that of all layers, for all tasks; `profiles` are those of layers of one kind alone, each for the tasks
    that need no other."""

    path: Path
    name: str
    id: int
    input_size: tuple[int, int]
    layers: tuple[LayerShape, ...]
    pictures: tuple[PictureFormat, ...]
    answers: tuple[str, ...]
    tasks: dict[str, TaskSpec]
    profile: Profile
    profiles: dict[Kind, Profile]
    tables: EntropyTables
    class_tables: ClassTables | None
    metadata: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> "Bundle":
        """Read the bundle in folder `path`, verifying every file it lists against its hash.

        Raises BundleError naming the file and what to do.
        """
        path = Path(path)
        metadata = read_metadata(path / METADATA)
        try:
            verify_files(path, metadata["files"])
            return _parse(path, metadata)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(f"{path / METADATA}: misses or garbles {error}; {RESTORE}") from error

    @property
    def layer_count(self) -> int:
        """How many layers there are, pictures among them."""
        return len(self.layers) + len(self.pictures)

    def latent_layers(self, layers: int) -> int:
        """How many of the latent's layers come with the first `layers` layers: with a picture all or none."""
        picture = layers - len(self.layers) - 1
        if picture < 0:
            return layers
        return len(self.layers) if picture < len(self.pictures) and self.pictures[picture].beside else 0

    @property
    def task_mask(self) -> int:
        """The tasks of the bundle as a message's task mask."""
        return task_mask(self.tasks)

    def network_file(self, task: str, others: str = "") -> Path:
        """A task's target network, or that of the same name in the folder NAME-`others` beside the bundle's."""
        return (beside(self.path, others) if others else self.path) / self.tasks[task].network

    def output_of(self, task: str) -> tuple[str, tuple[int | None, ...]]:
        """Name and shape (without batch; None = any) of the output of a task's target network."""
        return REGISTRY[task].output, REGISTRY[task].output_shape(self.tasks[task])

    def kind(self, tasks: Iterable[str]) -> Kind:
        """The kind of layers that some of the tasks need."""
        enough = (kind for kind, profile in self.profiles.items() if set(tasks) <= set(profile.agreement))
        return next(enough, Kind.BOTH)

    def profile_of(self, tasks: Iterable[str]) -> Profile:
        """The profile of epitomes for some of the tasks."""
        return self.profiles.get(self.kind(tasks), self.profile)

    def coder(self) -> LayeredCoder:
        """A new entropy coder for this bundle's latents."""
        return LayeredCoder(self.tables, self.layers, self.class_tables)


def _parse(path: Path, metadata: Mapping[str, Any]) -> Bundle:
    where = path / METADATA
    size = tuple(
        _count(metadata["input"][side], f"input {side}", where, 8, MAX_SIDE) for side in ("width", "height")
    )
    layers = tuple(_layer(entry, where) for entry in metadata["layers"])
    pictures = tuple(_picture(entry, size, where) for entry in metadata.get("pictures", ()))
    if len(layers) + len(pictures) > MAX_LAYERS:
        raise BundleError(f"{where}: {len(layers)} layers and {len(pictures)} pictures, at most {MAX_LAYERS} together")
    tasks = {name: _task(name, metadata["tasks"][name], metadata["files"], where) for name in _order(metadata, where)}
    answers = tuple(name for name in tasks if name in metadata.get("answers", ()))
    if len(answers) < len(metadata.get("answers", ())):
        raise BundleError(f"{where}: answers must be some of {', '.join(tasks)}, not {metadata['answers']}")
    try:
        tables = EntropyTables.from_npz(path / "entropy.npz")
        class_tables = ClassTables.from_npz(path / CLASS_TABLES) if CLASS_TABLES in metadata["files"] else None
        LayeredCoder(tables, layers, class_tables)
        if class_tables and class_tables.classes != len(tasks["segmentation"].classes):
            raise CodecError(f"a map of {class_tables.classes} classes, which are not those of the task segmentation")
        if class_tables and "segmentation" not in answers:
            raise CodecError("a map of classes beside a decoder that does not answer with it")
    except CodecError as error:
        raise BundleError(f"{path}: the entropy tables do not fit {METADATA} ({error})") from error
    try:
        count = len(layers) + len(pictures)
        profile = Profile.from_json(metadata["profile"], count, tasks)
        profiles = _profiles(metadata.get("profiles", {}), count, tasks, class_tables is not None)
    except BundleError as error:
        raise BundleError(f"{where}: {error}; {RESTORE}") from None
    return Bundle(
        path=path,
        name=checked_name(metadata["name"]),
        id=int(metadata["id"], 16),
        input_size=size,
        layers=layers,
        pictures=pictures,
        answers=answers,
        tasks=tasks,
        profile=profile,
        profiles=profiles,
        tables=tables,
        class_tables=class_tables,
        metadata=metadata,
    )


def _profiles(entries: Mapping[str, Any], layers: int, tasks: Iterable[str], has_map: bool) -> dict[Kind, Profile]:
    """The profiles of layers of one kind alone, in an order that both sides have."""
    alone = {kind: entries[kind.name] for kind in (Kind.NUMBERS, Kind.CLASSES) if kind.name in entries}
    told = {kind: [task for task in tasks if task in entry["agreement"]] for kind, entry in alone.items()}
    both = [task for some in told.values() for task in some]
    if len(alone) < len(entries) or not all(told.values()) or len(both) > len(set(both)) or (alone and not has_map):
        raise BundleError("profiles are not of numbers or of a map of classes that is there, for tasks of their own")
    return {kind: Profile.from_json(entry, layers, told[kind]) for kind, entry in alone.items()}


def _order(metadata: Mapping[str, Any], where: Path) -> list[str]:
    unknown = set(metadata["tasks"]) - set(TASKS)
    if unknown or not metadata["tasks"]:
        raise BundleError(f"{where}: tasks must be some of {', '.join(TASKS)}, not {sorted(metadata['tasks'])}")
    return [name for name in TASKS if name in metadata["tasks"]]


def _task(name: str, entry: Mapping[str, Any], files: Mapping[str, str], where: Path) -> TaskSpec:
    spec = TaskSpec(
        name=name,
        network=checked_name(entry["network"]),
        classes=tuple(str(label) for label in entry.get("classes", ())),
        palette=tuple(
            tuple(_count(v, f"{name} palette", where, 0, 255) for v in rgb) for rgb in entry.get("palette", ())
        ),
        min_m=float(entry.get("min_m", 0.0)),
        max_m=float(entry.get("max_m", 0.0)),
    )
    if spec.network not in files:
        raise BundleError(f"{where}: lists no {spec.network}, the network of {name}; {RESTORE}")
    if not 1 <= REGISTRY[name].channels(spec) <= 255:
        raise BundleError(f"{where}: {name} needs 1 to 255 classes, has {len(spec.classes)}")
    if name == "segmentation" and (len(spec.palette) != len(spec.classes) or any(len(c) != 3 for c in spec.palette)):
        raise BundleError(
            f"{where}: {name} needs one RGB colour in its palette for each of {len(spec.classes)} classes"
        )
    if name == "depth" and not 0 <= spec.min_m < spec.max_m < 1e6:
        raise BundleError(f"{where}: depth needs 0 <= min_m < max_m, has {spec.min_m} and {spec.max_m}")
    return spec


def _layer(entry: Mapping[str, Any], where: Path) -> LayerShape:
    sizes = (_count(entry[name], f"layers: {name}", where, 1, 4096) for name in ("channels", "height", "width"))
    classes = _count(entry.get("classes", 0), "layers: classes", where, 0, MAX_CLASSES)
    most = MAX_LAYERS if classes else 8
    parts = _count(entry.get("parts", 1), "layers: parts", where, 1, most)
    return LayerShape(*sizes, _count(entry.get("part", 0), "layers: part", where, 0, most - 1), parts, classes)


def _picture(entry: Mapping[str, Any], size: tuple[int, int], where: Path) -> PictureFormat:
    limits = {"width": size[0], "height": size[1], "quality": 100}
    numbers = {name: _count(entry[name], f"pictures: {name}", where, 1, most) for name, most in limits.items()}
    if not isinstance(entry["full_colour"], bool):
        raise BundleError(f"{where}: pictures: full_colour is {entry['full_colour']!r}, must be true or false")
    beside = entry.get("beside", 0.0)
    if not (isinstance(beside, (int, float)) and 0 <= beside <= _MOST_BESIDE):
        raise BundleError(f"{where}: pictures: beside is {beside!r}, must be 0 to {_MOST_BESIDE}")
    return PictureFormat(**numbers, full_colour=entry["full_colour"], beside=float(beside))


def _count(value: Any, what: str, where: Path, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BundleError(f"{where}: {what} is {value!r}, must be {low} to {high}")
    return value


def resolve_bundle(name_or_path: str | Path) -> Path:
    """The folder of a bundle given by path, or by name among those that are installed or in the checkout.

    Raises BundleError listing the bundles there are.
    """
    given = Path(name_or_path).expanduser()
    if (given / METADATA).is_file():
        return given
    folders = model_folders()
    for folder in folders:
        if (folder / given.name / METADATA).is_file() and given in (
            Path(given.name),
            Path("models", given.name),
        ):
            return folder / given.name
    there = sorted({entry.parent.name for folder in folders for entry in folder.glob(f"*/{METADATA}")})
    known = f"bundles here: {', '.join(there)}" if there else "no bundles are installed; train one with `nepi train`"
    raise BundleError(f"{name_or_path}: no bundle of that path or name; {known}")


def model_folders() -> list[Path]:
    """Where bundles are looked up by name: share/nepi_ros/models of each ROS prefix, then the checkout's models."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return [p / "share" / "nepi_ros" / "models" for p in prefixes] + [Path(__file__).resolve().parents[1] / "models"]


def write_bundle(path: str | Path, metadata: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Bundle:
    """Make the bundle folder `path` from `metadata` (as in bundle.json) and `files` (name to content or source).

    `format`, `files`, `id` and a missing `created` are filled in. The bundle is verified before its files take the
    place of those of a former bundle at `path`, or join those they are made from. Whatever else lies there is not
    touched; a folder that has nothing to do with bundles is left alone. Returns the loaded bundle.
    Raises BundleError when the metadata or files make no bundle.
    """
    path = Path(path).resolve()
    former = _former(path, files)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _fill(draft, metadata, files)
        Bundle.load(draft)
        os.chmod(draft, 0o755)  # mkdtemp makes it private; bundles are installed for everybody
        _take_place(draft, path, former)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Bundle.load(path)


def check_place(path: Path, files: Iterable[str]) -> None:
    """Raise BundleError unless a bundle of `files`, and perhaps others, may be written to `path`."""
    _former(path, files)


def _former(path: Path, files: Iterable[str]) -> set[str]:
    """The names of files at `path` that a new bundle of `files` takes the place of."""
    if not path.exists():
        return set()
    there = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if not path.is_dir() or (there and METADATA not in there and not there & set(files)):
        raise BundleError(f"{path}: exists and is no bundle; give another path")
    known = {METADATA, *files}
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):  # damaged: then all of it stays
        known |= set(json.loads((path / METADATA).read_text("utf-8"))["files"])
    return there & known


def _fill(draft: Path, metadata: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> None:
    for name, content in files.items():
        target = draft / checked_name(name)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    whole = {
        "created": now,
        **metadata,
        "format": FORMAT,
        "files": {name: file_hash(draft / name) for name in files},
    }
    whole["id"] = identity(whole)
    (draft / METADATA).write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n", "utf-8")


def _take_place(draft: Path, path: Path, former: Iterable[str]) -> None:
    """Make `draft` the folder `path`. In a folder that is there already (people work in it) its files take the place of
    the `former` ones, which come back if that fails."""
    if not path.exists():
        draft.rename(path)
        return
    aside, moved = Path(tempfile.mkdtemp(prefix=f".{path.name}.former.", dir=path.parent)), []
    try:
        new = sorted(draft.iterdir(), key=lambda file: file.name == METADATA)  # last: it says that the rest is there
        ways = [*((path / name, aside / name) for name in former), *((file, path / file.name) for file in new)]
        for source, target in ways:
            source.rename(target)
            moved.append((source, target))
    except OSError:
        for source, target in reversed(moved):
            target.rename(source)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
