# SPDX-License-Identifier: Apache-2.0
"""What the scenes' labels mean: segmentation classes with their colours, and the places of the patrol."""

CLASSES = ("floor", "wall", "ceiling", "door", "shelf", "table", "person", "object")

PALETTE = (
    (128, 64, 32),
    (120, 140, 180),
    (220, 220, 200),
    (230, 150, 20),
    (150, 60, 160),
    (40, 170, 90),
    (220, 30, 60),
    (30, 120, 220),
)

PLACES = ("corridor", "office", "kitchen", "storage", "lounge", "laboratory", "library")

CLASS_ID = {name: index for index, name in enumerate(CLASSES)}
PLACE_ID = {name: index for index, name in enumerate(PLACES)}
