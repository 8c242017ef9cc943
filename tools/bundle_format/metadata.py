"""Rules for configs/metadata.json and configs/labels.json.

At least as strict as the schema `meta_schema_20240725` of the Model Zoo: the same keys and types are wanted,
and beyond it a changelog, a meaning for every channel, no unknown keys and no empty texts.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from .bundle import Bundle
from .code import normalise

SCHEMA = re.compile(r"https://\S+/meta_schema_20240725\.json")
REQUIRED_TEXTS = (
    *(
        "schema",
        "version",
        "monai_version",
        "pytorch_version",
        "numpy_version",
        "task",
        "description",
        "authors",
    ),
    *("copyright", "name", "data_source", "data_type", "image_classes", "pred_classes", "intended_use"),
)
OPTIONAL_TEXTS = ("label_classes",)
REQUIRED_OBJECTS = ("required_packages_version", "changelog", "eval_metrics", "network_data_format")
OPTIONAL_OBJECTS = ("optional_packages_version", "supported_apps")
NETWORK_IO = re.compile(r"\w+_data_format")
TENSOR_TEXTS = ("type", "format", "modality", "dtype")
DTYPES = frozenset(
    ("float64", "float32", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool")
)
DIMENSION = re.compile(r"\d+(\s*\*\*\s*p)?(\s*\*\s*n)?")
CODE_KEYS = {"scheme", "value", "meaning"}


def check_metadata_keys(bundle: Bundle) -> Iterator[str]:
    """Required keys, their types, and no unknown key."""
    metadata = bundle.metadata
    for key in REQUIRED_TEXTS:
        if key not in metadata:
            yield f"metadata.json: key {key} is missing"
    for key in (*REQUIRED_TEXTS, *OPTIONAL_TEXTS):
        if key in metadata and not is_text(metadata[key]):
            yield f"metadata.json: {key} is not a text with content"
    for key in REQUIRED_OBJECTS:
        if key not in metadata:
            yield f"metadata.json: key {key} is missing"
    for key in (*REQUIRED_OBJECTS, *OPTIONAL_OBJECTS):
        if key in metadata and not isinstance(metadata[key], dict):
            yield f"metadata.json: {key} is not an object"
    references = metadata.get("references")
    if not isinstance(references, list) or not references or not all(is_text(item) for item in references):
        yield "metadata.json: references is not a list of texts"
    if not SCHEMA.fullmatch(str(metadata.get("schema"))):
        yield "metadata.json: schema is not the address of meta_schema_20240725.json"
    known = [*REQUIRED_TEXTS, *OPTIONAL_TEXTS, *REQUIRED_OBJECTS, *OPTIONAL_OBJECTS, "references"]
    for key in sorted(set(metadata) - set(known)):
        if not NETWORK_IO.fullmatch(key):
            near = difflib.get_close_matches(key, known, n=1)
            yield f"metadata.json: unknown key {key}" + (f", perhaps {near[0]}" if near else "")


def is_text(value: Any) -> bool:
    """Whether `value` is a string that says something."""
    return isinstance(value, str) and bool(value.strip())


def check_version(bundle: Bundle) -> Iterator[str]:
    """A version of three numbers; the changelog explains it and every earlier one, newest first."""
    version, changelog = bundle.metadata.get("version"), bundle.metadata.get("changelog", {})
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(version)):
        yield f"metadata.json: version {version!r} is not of the form 1.2.3"
        return
    if version not in changelog:
        yield f"metadata.json: version {version} is missing in changelog"
    for key, text in changelog.items():
        if not re.fullmatch(r"\d+\.\d+\.\d+", key) or not is_text(text):
            yield f"metadata.json: changelog entry {key!r} is not a version with a text"
            return
    versions = [Version(key) for key in changelog]
    if versions != sorted(versions, reverse=True) or (versions and versions[0] != Version(str(version))):
        yield "metadata.json: changelog does not begin with the present version, newest first"


def check_tensors(bundle: Bundle) -> Iterator[str]:
    """Every network's inputs and outputs are described; the first network has `image` and `pred`."""
    for key, value in bundle.metadata.items():
        if not NETWORK_IO.fullmatch(key):
            continue
        for side in ("inputs", "outputs"):
            if not isinstance(value.get(side), dict) or not value[side]:
                yield f"metadata.json: {key}.{side} is not an object with content"
        for side in ("inputs", "outputs", "post_processed_outputs"):
            for name, tensor in (value.get(side) or {}).items():
                yield from _check_argument(f"{key}.{side}.{name}", tensor, side == "inputs")
    network = bundle.metadata.get("network_data_format", {})
    for side, name in (("inputs", "image"), ("outputs", "pred")):
        if not isinstance(network.get(side, {}).get(name), dict):
            yield f"metadata.json: network_data_format.{side}.{name} is missing"


def _check_argument(place: str, tensor: Any, is_input: bool) -> Iterator[str]:
    if isinstance(tensor, (str, bool, int, float)):
        return
    if not isinstance(tensor, dict):
        yield f"metadata.json: {place} is neither a value nor the description of a tensor"
        return
    for key in TENSOR_TEXTS:
        if not is_text(tensor.get(key)) and (is_input or key != "modality"):
            yield f"metadata.json: {place}.{key} is not a text with content"
    if tensor.get("dtype") not in DTYPES:
        yield f"metadata.json: {place}.dtype {tensor.get('dtype')!r} is not a tensor type"
    channels = tensor.get("num_channels")
    if type(channels) is not int or channels < 1:
        yield f"metadata.json: {place}.num_channels {channels!r} is not a positive integer"
    if type(tensor.get("is_patch_data")) is not bool:
        yield f"metadata.json: {place}.is_patch_data is not true or false"
    shape = tensor.get("spatial_shape")
    if not isinstance(shape, list) or not all(_is_dimension(size) for size in shape):
        yield f"metadata.json: {place}.spatial_shape {shape!r} is not a list of sizes such as 224 or '16*n'"
    if not _is_range(tensor.get("value_range"), may_be_open=not is_input):
        yield f"metadata.json: {place}.value_range is not [smallest, largest]"
    meanings = tensor.get("channel_def")
    expected = [str(channel) for channel in range(channels)] if type(channels) is int else []
    if not isinstance(meanings, dict) or list(meanings) != expected:
        yield f"metadata.json: {place}.channel_def is not '0' to '{len(expected) - 1}' in order"
    elif not all(is_text(meaning) for meaning in meanings.values()):
        yield f"metadata.json: {place}.channel_def has a channel without a name"


def _is_dimension(size: Any) -> bool:
    return (type(size) is int and size > 0) or (isinstance(size, str) and bool(DIMENSION.fullmatch(size)))


def _is_range(value: Any, may_be_open: bool) -> bool:
    """Two ascending numbers; an output without bounds (logits) has an empty list."""
    if value == []:
        return may_be_open
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    return numbers and len(value) == 2 and all(map(math.isfinite, value)) and value[0] < value[1]


def check_labels(bundle: Bundle) -> Iterator[str]:
    """labels.json: values 0, 1, ... in order, distinct names, a coded concept or null, distinct colours."""
    rows = bundle.labels
    for index, row in enumerate(rows):
        if type(row.get("value")) is not int or row["value"] != index:
            yield f"labels.json: row {index} has the value {row.get('value')!r}"
        if not is_text(row.get("name")):
            yield f"labels.json: row {index} has no name"
        code = row.get("code")
        complete = isinstance(code, dict) and set(code) == CODE_KEYS and all(map(is_text, code.values()))
        if "code" not in row or not (code is None or complete):
            yield f"labels.json: row {index} has a code that is neither null nor scheme, value and meaning"
        color = row.get("color")
        numbers = isinstance(color, list) and all(type(part) is int and 0 <= part <= 255 for part in color)
        if not numbers or len(color or []) != 3:
            yield f"labels.json: row {index} has a color that is not [r, g, b] from 0 to 255"
    for key in ("name", "color"):
        if len({str(row.get(key)) for row in rows}) != len(rows):
            yield f"labels.json: two rows have the same {key}"


def check_channel_def(bundle: Bundle) -> Iterator[str]:
    """The channels of `pred` are the rows of labels.json, or those rows without the background at 0."""
    declared = bundle.metadata["network_data_format"]["outputs"]["pred"].get("channel_def")
    named = {str(row["value"]): row["name"] for row in bundle.labels}
    structures = [row["name"] for row in bundle.labels if row["value"] != 0 or row["name"] != "background"]
    if declared not in (named, {str(channel): name for channel, name in enumerate(structures)}):
        different = sorted({*named, *(declared or {})}, key=str)
        wrong = [key for key in different if (declared or {}).get(key) != named.get(key)]
        yield f"metadata.json: channel_def of pred differs from labels.json in channel {', '.join(wrong)}"


def check_pins(bundle: Bundle) -> Iterator[str]:
    """Every version that metadata.json names is one that requirements.txt allows."""
    metadata = bundle.metadata
    stated = {
        **metadata.get("required_packages_version", {}),
        **metadata.get("optional_packages_version", {}),
    }
    for key, package in (("monai", "monai"), ("pytorch", "torch"), ("numpy", "numpy")):
        stated[package] = metadata.get(f"{key}_version")
    pinned = read_requirements(bundle)
    for package, version in stated.items():
        requirement = pinned.get(normalise(package))
        try:
            fits = requirement is not None and requirement.specifier.contains(Version(str(version)))
        except InvalidVersion:
            fits = False
        if requirement is None:
            yield f"metadata.json: {package} is not in requirements.txt"
        elif not fits:
            yield f"metadata.json: {package} {version!r} is not '{requirement}' of requirements.txt"


def read_requirements(bundle: Bundle) -> dict[str, Requirement]:
    """Normalised name -> requirement."""
    lines = (bundle.repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements: dict[str, Requirement] = {}
    for line in lines:
        try:
            requirement = Requirement(line.partition("#")[0].strip())
        except InvalidRequirement:
            continue  # a comment, a blank line or an option such as `-e .`
        requirements[normalise(requirement.name)] = requirement
    return requirements
