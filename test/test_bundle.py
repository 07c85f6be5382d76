# SPDX-License-Identifier: Apache-2.0
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from tiny_bundle import make_tiny_bundle

from nepi_ros.bundle import Bundle, resolve_bundle, write_bundle
from nepi_ros.bundle_files import identity
from nepi_ros.codec import Kind, LayerShape
from nepi_ros.errors import BundleError, NepiError
from nepi_ros.profile import Profile


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny", width=64, height=48)


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original.path, tmp_path / "copy")


def rewrite(folder, **changes):
    """Change fields of bundle.json and give it the id that belongs to them."""
    metadata = {**json.loads((folder / "bundle.json").read_text()), **changes}
    metadata["id"] = identity(metadata)
    (folder / "bundle.json").write_text(json.dumps(metadata))


def layers_of(*channels, height=6, width=8):
    return [{"channels": count, "height": height, "width": width} for count in channels]


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    return make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "mapped", width=64, height=48, mapped=True)


def test_each_set_of_tasks_has_a_kind_of_layers_and_a_profile(mapped):
    again = Bundle.load(mapped.path)
    others = ("classification", "depth")
    for tasks, kind in ((["segmentation"], Kind.CLASSES), (others, Kind.NUMBERS), (["depth"], Kind.NUMBERS)):
        assert again.kind(tasks) is kind and set(tasks) <= set(again.profile_of(tasks).agreement)
        assert again.profile_of(tasks).bytes[-1] < again.profile.bytes[-1]
    assert again.kind(again.tasks) is Kind.BOTH and again.profile_of(again.tasks) is again.profile


@pytest.mark.parametrize(
    "change",
    [
        lambda profiles: {"BOTH": profiles["NUMBERS"]},
        lambda profiles: {"WORDS": profiles["NUMBERS"]},
        lambda profiles: {"CLASSES": profiles["CLASSES"] | {"agreement": {}}},
        lambda profiles: {kind: profiles["NUMBERS"] for kind in profiles},
        lambda profiles: list(profiles),
        lambda profiles: {"CLASSES": None},
    ],
)
def test_impossible_profiles_are_refused(mapped, tmp_path, change):
    folder = shutil.copytree(mapped.path, tmp_path / "copy")
    rewrite(folder, profiles=change(dict(mapped.metadata["profiles"])))
    with pytest.raises(BundleError, match="restore it"):
        Bundle.load(folder)


def test_a_map_of_other_classes_than_the_task_s_is_refused(mapped, original, tmp_path):
    folder, tasks = shutil.copytree(mapped.path, tmp_path / "copy"), dict(mapped.metadata["tasks"])
    tasks["segmentation"] = {k: v[:3] if k in ("classes", "palette") else v for k, v in tasks["segmentation"].items()}
    rewrite(folder, tasks=tasks)
    with pytest.raises(BundleError, match="map of 4 classes"):
        Bundle.load(folder)
    rewrite(shutil.copytree(original.path, tmp_path / "other"), profiles=dict(mapped.metadata["profiles"]))
    with pytest.raises(BundleError, match="profiles"):
        Bundle.load(tmp_path / "other")


def test_load_gives_what_was_written(original):
    bundle = Bundle.load(original.path)
    assert (bundle.name, bundle.input_size, bundle.task_mask) == ("tiny", (64, 48), 7)
    assert bundle.layers == tuple(LayerShape(channels, 6, 8) for channels in (1, 2, 2, 3, 3, 3))
    assert bundle.id == int(bundle.metadata["id"], 16) and 0 <= bundle.id < 1 << 64
    assert bundle.tasks["segmentation"].classes[0] == "floor" and bundle.tasks["depth"].max_m == 10
    assert bundle.profile.frames == 4 and len(bundle.profile.bytes) == 6


def test_equal_bundles_have_equal_ids_and_others_do_not(original, tmp_path):
    ids = [
        make_tiny_bundle(tmp_path / "bundle", width=64, height=48, **arguments).id
        for arguments in ({}, {"seed": 1}, {"name": "other"}, {"tasks": ["depth"]})
    ]
    assert ids[0] == original.id and len(set(ids)) == 4


@pytest.mark.parametrize("name", ["encoder.onnx", "entropy.npz", "segmentation.onnx", "train.yaml"])
def test_a_changed_file_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}.*does not match its hash.*restore"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["decoder.onnx", "depth.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}.*cannot be read"):
        Bundle.load(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"format": 3}', b"[" * 100_000])
def test_garbled_metadata_is_refused(folder, content):
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match="bundle.json"):
        Bundle.load(folder)


def test_changed_metadata_is_noticed(folder):
    text = (folder / "bundle.json").read_text()
    (folder / "bundle.json").write_text(text.replace('"max_m": 10.0', '"max_m": 11.0'))
    with pytest.raises(BundleError, match="does not match its id"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": layers_of(1, 2, 2, 3, 3, 4)},
        {"layers": []},
        {"layers": "123"},
        {"layers": [1, 2, 2, 3, 3, 3]},
        {"layers": layers_of(1, 2, 2, 3, 3, 3.0)},
        {"layers": layers_of(1, 2, 2, 3, 3, 3, height=4096, width=4096)},
        {"layers": layers_of(1, 2, 2, 3, 3, 3, height=0)},
        {"input": {"width": 10**9, "height": 48}},
        {"input": None},
        {"tasks": {}},
        {"tasks": {"colour": {"network": "depth.onnx"}}},
        {"tasks": {"depth": {"network": "../depth.onnx", "min_m": 0, "max_m": 1}}},
        {"tasks": {"depth": {"network": "unlisted.onnx", "min_m": 0, "max_m": 1}}},
        {"tasks": {"depth": {"network": "depth.onnx", "min_m": 2, "max_m": 1}}},
        {"tasks": {"depth": {"network": "depth.onnx", "min_m": "near", "max_m": 1}}},
        {"tasks": {"segmentation": {"network": "segmentation.onnx", "classes": ["a"], "palette": []}}},
        {"tasks": {"segmentation": {"network": "segmentation.onnx", "classes": ["a"], "palette": [[0, 0, 256]]}}},
        {"tasks": {"classification": {"network": "classification.onnx", "classes": []}}},
        {"profile": None},
        {"profile": {"bytes": [1, 2]}},
        {"profile": {"bytes": [6, 5, 4, 3, 2, 1], "agreement": {}}},
        {"name": "../../elsewhere"},
        {"pictures": [{"width": 160, "height": 120, "quality": 50, "full_colour": True}] * 250},
        {"files": {}},
        {"files": ["encoder.onnx"]},
    ],
)
def test_impossible_metadata_is_refused(folder, changes):
    rewrite(folder, **changes)
    with pytest.raises(BundleError, match="bundle.json|entropy.npz|no name for a file"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a/b", ".hidden", "", "bundle.json", "a\0b", "x" * 101])
def test_names_that_leave_the_folder_are_refused(folder, name):
    files = json.loads((folder / "bundle.json").read_text())["files"]
    rewrite(folder, files={**files, name: "0" * 64})
    with pytest.raises(BundleError, match="no name for a file"):
        Bundle.load(folder)
    with pytest.raises(BundleError, match="no name for a file"):
        write_bundle(folder.parent / "new", {}, {name: b""})


def test_files_that_are_not_listed_do_no_harm(folder, original):
    (folder / "README").write_text("notes")
    assert Bundle.load(folder).id == original.id


def test_write_replaces_a_bundle_but_nothing_else(folder, original, tmp_path):
    files = {name: folder / name for name in original.metadata["files"]}
    renamed = write_bundle(original.path.parent / "again", {**original.metadata, "name": "renamed"}, files)
    assert renamed.name == "renamed" and renamed.id != original.id
    assert write_bundle(renamed.path, original.metadata, files).id == original.id
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is no bundle"):
        write_bundle(tmp_path / "precious", original.metadata, files)
    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_writing_keeps_what_is_not_the_bundle_s(folder, original, tmp_path):
    files = {name: folder / name for name in original.metadata["files"]}
    made = tmp_path / "made"
    (made / "mine").mkdir(parents=True)
    (made / "mine/depth.onnx").write_text("another network")
    first = next(iter(files))
    (made / first).write_bytes(b"what the bundle is made from, or an older version of it")
    for _ in range(2):
        assert write_bundle(made, original.metadata, files).id == original.id
        assert (made / "mine/depth.onnx").read_text() == "another network"
    fewer = {name: path for name, path in files.items() if name not in ("NOTICE", "train.yaml")}
    write_bundle(made, original.metadata, fewer)
    assert {entry.name for entry in made.iterdir()} == {"bundle.json", "mine", *fewer}


@pytest.mark.parametrize("way", [".", "../made", "sub/.."])
def test_a_bundle_joins_the_folder_that_one_works_in(folder, original, tmp_path, monkeypatch, way):
    """As with `nepi train train.yaml`: links stay links, and the folder stays the one it is."""
    files = {name: (folder / name).read_bytes() for name in original.metadata["files"]}
    made = tmp_path / "work" / "made"
    (made / "sub").mkdir(parents=True)
    (made / "frames").symlink_to(tmp_path)
    (made / "train.yaml").write_text("before")
    inode = made.stat().st_ino
    monkeypatch.chdir(made)
    for _ in range(2):
        assert write_bundle(way, original.metadata, files).id == original.id
    assert made.stat().st_ino == inode and (made / "frames").is_symlink()
    assert {entry.name for entry in made.iterdir()} == {"bundle.json", "frames", "sub", *files}
    assert os.listdir(made.parent) == ["made"]


def test_a_failed_write_leaves_everything_as_it_was(folder, original):
    with pytest.raises(BundleError):
        write_bundle(
            folder, {**original.metadata, "layers": [14]}, {name: folder / name for name in original.metadata["files"]}
        )
    assert Bundle.load(folder).id == original.id
    assert os.listdir(folder.parent) == [folder.name]


def test_a_bundle_that_cannot_take_its_place_leaves_the_former_one(folder, original, monkeypatch):
    files, rename = {name: folder / name for name in original.metadata["files"]}, Path.rename

    def full(self: Path, target: Path) -> Path:
        if Path(target) == folder / "bundle.json" and "former" not in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(folder, {**original.metadata, "name": "renamed"}, files)
    assert Bundle.load(folder).id == original.id
    assert os.listdir(folder.parent) == [folder.name]


def test_written_bundles_are_readable_by_everybody(original):
    assert original.path.stat().st_mode & 0o755 == 0o755


def test_created_is_filled_in(folder, original, tmp_path):
    metadata = {key: value for key, value in original.metadata.items() if key != "created"}
    bundle = write_bundle(tmp_path / "new", metadata, {name: folder / name for name in original.metadata["files"]})
    assert bundle.metadata["created"].startswith("20")


def test_resolve_by_path_and_by_name(original, tmp_path, monkeypatch):
    assert resolve_bundle(original.path) == original.path
    models = tmp_path / "prefix" / "share" / "nepi_ros" / "models"
    shutil.copytree(original.path, models / "garden")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere{os.pathsep}{tmp_path / 'prefix'}")
    assert resolve_bundle("garden") == models / "garden"
    assert resolve_bundle("models/garden") == models / "garden"
    with pytest.raises(BundleError, match=r"elsewhere/garden: no bundle.*garden"):
        resolve_bundle("elsewhere/garden")


def test_profile_answers():
    profile = Profile((100.0, 150.0, 300.0), {"depth": (0.8, 0.951, 0.952), "segmentation": (0.9, 0.9, 0.9)})
    assert profile.bytes_of(2, ["depth"]) == 150 and profile.bytes_of(0, ["depth"]) == 0
    assert profile.accuracy_of(2, ["depth", "segmentation"]) == 0.9 and profile.accuracy_of(0, ["depth"]) == 0
    assert profile.useful_layers(["depth"]) == 2 and profile.useful_layers(["depth"], tolerance=0) == 3
    assert profile.useful_layers(["segmentation"]) == 1 and profile.useful_layers(["depth", "segmentation"]) == 2
    assert [profile.layers_within(["depth"], budget) for budget in (99, 100, 299, 1e9)] == [0, 1, 2, 3]


def test_profile_refuses_what_it_has_not():
    dips = Profile((1.0, 2.0, 3.0, 4.0), {"depth": (0.8, 0.7, 0.9, 0.95), "segmentation": (0.5, 0.6, 0.6, 0.7)})
    assert dips.worthwhile(["depth"]) == (1, 3, 4) and dips.worthwhile(["depth", "segmentation"]) == (1, 2, 4)
    profile = Profile((100.0,), {"depth": (0.8,)})
    with pytest.raises(BundleError, match="classification"):
        profile.accuracy_of(1, ["classification"])
    with pytest.raises(ValueError):
        profile.bytes_of(2, ["depth"])


def test_a_bundle_error_is_a_nepi_error():
    assert issubclass(BundleError, NepiError)
