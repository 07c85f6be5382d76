# SPDX-License-Identifier: Apache-2.0
"""Which pictures a bundle gets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny_bundle import make_tiny_bundle, tiny_frames

from nepi_ros.codec import Decoder, Encoder, TargetNetworks, untouched
from nepi_ros.codec.picture import joined
from nepi_ros.datasets import Sample
from nepi_ros.tasks import REGISTRY

pytest.importorskip("torch", reason="training needs torch; install the train extra")

from nepi_ros.training.pictures import choose_pictures  # noqa: E402

SIZE = (160, 120)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    bundle = make_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    frames = [Sample(str(number), rgb) for number, rgb in enumerate(tiny_frames(6, *SIZE, seed=3))]
    pictures, go_on = choose_pictures(bundle, bundle.profile, frames)
    return bundle, frames, pictures, go_on(bundle.profile)


def test_each_is_larger_and_agrees_more_than_all_layers_before(chosen):
    bundle, _, pictures, profile = chosen
    latents = len(bundle.layers)
    assert len(profile.bytes) == latents + len(pictures) > latents
    assert profile.bytes[:latents] == bundle.profile.bytes
    agreement = [profile.accuracy_of(layers, bundle.tasks) for layers in range(latents, len(profile.bytes) + 1)]
    assert all(better >= worse + 0.001 for worse, better in pairwise(agreement))
    assert all(larger >= 1.08 * smaller for smaller, larger in pairwise(profile.bytes[latents - 1 :]))
    assert all(before < 0.99 for before in agreement[:-1])


def test_a_latent_that_answers_comes_with_them(tmp_path):
    bundle = make_tiny_bundle(tmp_path / "mapped", mapped=True)
    frames = [Sample(str(number), rgb) for number, rgb in enumerate(tiny_frames(2, *SIZE, seed=3))]
    pictures, go_on = choose_pictures(bundle, bundle.profile, frames)
    profile = go_on(replace(bundle.profile, bytes=tuple(np.linspace(1, 100, len(bundle.layers)))))
    assert pictures and all(picture.beside > 0 for picture in pictures)
    mean = np.mean([len(joined(b"", pictures[0].write(frame.rgb))) for frame in frames])
    assert profile.bytes[len(bundle.layers)] == pytest.approx(100 + mean)
    # And so they are read.
    made = make_tiny_bundle(tmp_path / "pictured", mapped=True, pictures=pictures)
    (view,) = Decoder(made).decode([[Encoder(made).encode(frames[0].rgb).segment()]])
    assert view.beside == pictures[-1].beside and set(view.answers) == set(made.answers)


def test_what_is_said_of_them_is_what_comes_of_them(chosen):
    bundle, frames, pictures, profile = chosen
    networks, spec = TargetNetworks(bundle, ["segmentation"]), bundle.tasks["segmentation"]
    meter, sizes = REGISTRY["segmentation"].agreement(spec), []
    for frame in frames:
        stream = pictures[-1].write(frame.rgb)
        sizes.append(len(stream))
        shown = np.stack([pictures[-1].read(stream, SIZE), frame.rgb])
        logits = networks.run(untouched(shown))["segmentation"]
        meter.add(*(REGISTRY["segmentation"].result(each, SIZE, spec) for each in logits))
    assert profile.bytes[-1] == pytest.approx(np.mean(sizes))
    assert profile.agreement["segmentation"][-1] == pytest.approx(meter.value())
