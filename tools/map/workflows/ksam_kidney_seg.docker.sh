#!/bin/sh
# KSAM kidney segmentation: one study through the image.
# No test of this project has run this file: it is checked against the image's manifests only.
#   sh ksam_kidney_seg.docker.sh INPUT_FOLDER OUTPUT_FOLDER [--set KEY=VALUE ...]
# User 1000 of the image must be able to read INPUT_FOLDER and to write OUTPUT_FOLDER.
set -eu
input=$(realpath "$1")
output=$(realpath "$2")
shift 2
exec docker run --rm --network none --read-only --tmpfs /tmp:size=2g \
    --cap-drop ALL --security-opt no-new-privileges \
    --cpus 2 --memory 5g \
    --volume "$input:/var/holoscan/input:ro" \
    --volume "$output:/var/holoscan/output" \
    clinical-monai/ksam_kidney_seg:0.1.0 "$@"
