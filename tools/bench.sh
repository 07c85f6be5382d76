#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures every bundle in models/ for which there are labelled frames: tools/bench.sh NEPI DATA OUT
# What is measured already is not measured again: points of other methods than the epitome come with reports/points,
# and count if frames and target networks are those that they were measured with. DATA/NAME/val belongs to models/NAME;
# models/NAME-task-blind, and target networks in models/NAME-robust, take part where they are.
set -eu
nepi=$1 data=$2 out=$3
sets=""
for bundle in models/*/bundle.json; do
  name=$(basename "$(dirname "$bundle")")
  [ -d "$data/$name/val" ] && sets="$sets $name"
done
if [ -z "$sets" ]; then
  echo "nepi_ros: nothing to measure: no folder NAME/val in $data for a bundle NAME in models;" \
    "name your frames with: nepi bench rate-accuracy --bundle ... --data ..." >&2
  exit 2
fi
failed=0
for name in $sets; do
  echo "nepi_ros: measuring $name (results in $out/$name)"
  kept="reports/points/$name.tar.gz"
  if [ -f "$kept" ] && [ ! -d "$out/$name/points" ]; then
    mkdir -p "$out/$name"
    tar -xzf "$kept" -C "$out/$name"
  fi
  set -- --bundle "models/$name" --data "$data/$name/val" --out "$out/$name"
  [ -d "models/$name-robust" ] && set -- "$@" --targets both
  [ -f "models/$name-task-blind/bundle.json" ] && set -- "$@" --task-blind "models/$name-task-blind"
  "$nepi" bench rate-accuracy "$@" || failed=$?
done

# Times are of one moment, so they are taken again only for bundles that are newer.
again="" times="$out/codec/results.json"
set -- --out "$out/codec"
for name in $sets; do
  [ "$times" -nt "models/$name/bundle.json" ] || again=yes
  set -- "$@" --bundle "models/$name" --data "$data/$name/val"
done
if [ -n "$again" ]; then
  echo "nepi_ros: timing$sets (results in $out/codec)"
  "$nepi" bench codec "$@" || failed=$?
else
  echo "nepi_ros: the times in $times are newer than the bundles; remove that file to take them again"
fi
exit $failed
