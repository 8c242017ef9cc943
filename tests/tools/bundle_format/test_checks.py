"""Every check finds what it is there to find: each test breaks one thing in a copy of a good bundle."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_format import STATIC_CHECKS, Bundle, run_check
from toy_bundle import sct, write, write_toy

Mutation = Callable[[Path], Any]
numbers = itertools.count()


@pytest.fixture
def toy(tmp_path: Path) -> Bundle:
    """A good bundle; its package has a name that no other test of this process has imported."""
    return Bundle(write_toy(tmp_path, package=f"sorter_{next(numbers)}"), tmp_path)


def edit(file: str, change: Callable[[Any], Any]) -> Mutation:
    """Change a JSON file in place; `change` may return the new content."""

    def mutate(path: Path) -> None:
        content = json.loads((path / file).read_text())
        changed = change(content)
        write(path / file, content if changed is None else changed)

    return mutate


def put(file: str, key: str, value: Any) -> Mutation:
    """Set `a.b.c` of a JSON file."""

    def change(content: Any) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            content = content[int(parent) if isinstance(content, list) else parent]
        content[int(last) if isinstance(content, list) else last] = value

    return edit(file, change)


def drop(file: str, key: str) -> Mutation:
    """Delete `a.b.c` of a JSON file."""

    def change(content: Any) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            content = content[parent]
        del content[last]

    return edit(file, change)


def replace(file: str, old: str, new: str) -> Mutation:
    """Replace a text that must be there; `PACKAGE` in the file's name stands for the package."""

    def mutate(path: Path) -> None:
        package = next(path.glob("*/__init__.py")).parent.name
        target = path / file.replace("PACKAGE", package)
        text = target.read_text()
        assert old in text
        target.write_text(text.replace(old, new))

    return mutate


def append(file: str, text: str) -> Mutation:
    """Add a text at the end."""

    def mutate(path: Path) -> None:
        package = next(path.glob("*/__init__.py")).parent.name
        with (path / file.replace("PACKAGE", package)).open("a") as target:
            target.write(text.replace("PACKAGE", package))

    return mutate


META, LABELS, INFER = "configs/metadata.json", "configs/labels.json", "configs/inference.json"
TRAIN, EVALUATE, README = "configs/train.json", "configs/evaluate.json", "docs/README.md"
IMAGE, PRED = "network_data_format.inputs.image", "network_data_format.outputs.pred"
TARGET = "network_def._target_"
FILES = (
    *(
        "LICENSE",
        "large_files.yml",
        README,
        "docs/data_license.txt",
        "configs/logging.conf",
        META,
        LABELS,
        INFER,
    ),
    *(TRAIN, EVALUATE, "configs/multi_gpu_train.json"),
)
MUTATIONS: list[tuple[str, Mutation, str]] = [
    *(("required_files", lambda path, name=name: (path / name).unlink(), name) for name in FILES),
    ("required_files", lambda path: (path / "LICENSE").write_text("\n"), "LICENSE: the file is empty"),
    ("json", lambda path: (path / LABELS).write_text("[{]"), "labels.json: line 1"),
    ("json", lambda path: (path / LABELS).write_text('{"a": 1, "a": 2}'), "'a' stands twice"),
    ("json", lambda path: (path / LABELS).write_text('{"a": NaN}'), "NaN is not standard"),
    (
        "package_name",
        lambda path: write(path / "second/__init__.py", '"""."""\n'),
        "expected one Python package",
    ),
    ("package_name", lambda path: write(path / "scripts/__init__.py", ""), "scripts: a package of this name"),
    ("package_name", lambda path: write(path / "scripts/run.py", ""), "MONAI Label unloads"),
    ("package_name", lambda path: write(path / "torch/__init__.py", ""), "torch: a package of this name"),
    ("package_name", lambda path: write(path / "statistics/__init__.py", ""), "statistics: a package"),
    (
        "package_name",
        lambda path: write(
            path.parent / "other" / next(path.glob("*/__init__.py")).parent.name / "__init__.py", ""
        ),
        "a package of this name exists elsewhere",
    ),
    (
        "reexports",
        append("PACKAGE/__init__.py", "from .network import build_network as network\n"),
        "'network' hides",
    ),
    ("reexports", append("PACKAGE/__init__.py", "def pipeline():\n    pass\n"), "'pipeline' hides"),
    ("imports", append("PACKAGE/network.py", "import scipy\n"), "does not name scipy"),
    (
        "imports",
        append("PACKAGE/network.py", "def f():\n    from PIL import Image\n"),
        "does not name pillow",
    ),
    ("imports", append("PACKAGE/network.py", "import tools.check\n"), "does not name tools"),
    (
        "imports",
        lambda path: [
            append("PACKAGE/network.py", "from common.a import b\n")(path),
            write(path.parents[1] / "common/a.py", "import cv2\nb = 1\n"),
        ],
        "imported by common.a",
    ),
    (
        "absolute_paths",
        append("PACKAGE/network.py", 'CACHE = "/tmp/cache"\n'),
        "network.py:26: absolute path",
    ),
    ("absolute_paths", append(README, "See /home/someone/data.\n"), "README.md:9: absolute path"),
    ("absolute_paths", put(INFER, "dataset_dir", "/workspace/data/x"), "inference.json:4: absolute path"),
    ("absolute_paths", append("docs/data_license.txt", "C:\\data\n"), "data_license.txt:2"),
    ("named_paths", put(INFER, "dataset_dir", "models/none.json"), "models/none.json"),
    ("named_paths", put(INFER, "dataset_dir", "$@bundle_root + '/models/none.json'"), "models/none.json"),
    ("named_paths", append(README, "Run `tools/none.py`.\n"), "names tools/none.py"),
    ("named_paths", append(README, "Run `PACKAGE/none.py`.\n"), "none.py, which does not exist"),
    ("named_paths", append(README, "Open pictures/none.png.\n"), "names pictures/none.png"),
    ("named_paths", append(README, "Folder docs/none.\n"), "names docs/none"),
    ("links", append(README, "[x](none.md)\n"), "link none.md leads nowhere"),
    ("links", append(README, '<img src="none.png">\n'), "link none.png leads nowhere"),
    ("links", append(README, "[x]: none.md\n"), "link none.md leads nowhere"),
    ("links", append(README, "[x](../../../requirements.txt)\n"), "leaves the bundle"),
    ("links", append(README, "[x](#none)\n"), "link #none has no heading"),
    ("large_files", replace("large_files.yml", "models/model.pt", "model.pt"), "is not a file in models/"),
    ("large_files", replace("large_files.yml", "https:", "http:"), "is not an https address"),
    (
        "large_files",
        replace("large_files.yml", "hash_type: sha256", "hash_type: md5"),
        "expected hash_type sha256",
    ),
    ("large_files", replace("large_files.yml", "hash_val: ", "hash_val: 0"), "64 hexadecimal digits"),
    ("large_files", lambda path: (path / "models/model.pt").write_bytes(b"x"), "has another sha256"),
    (
        "large_files",
        lambda path: [
            (path / "models/model.pt").unlink(),
            write(path / "large_files.yml", "large_files: []\n"),
        ],
        "neither there nor listed",
    ),
    (
        "large_files",
        lambda path: write(
            path.parents[1] / "tools/weights.json",
            {"entries": [{"target": "bundles/toy_sorter/models/model.pt", "sha256": "0" * 64}]},
        ),
        "tools/weights.json fetches it with another sha256",
    ),
    ("logging", replace("configs/logging.conf", "[loggers]", "[logger]"), "section \\[loggers\\] is missing"),
    ("logging", replace("configs/logging.conf", "StreamHandler", "FileHandler"), "is not a stream handler"),
    ("logging", replace("configs/logging.conf", "sys.stdout,", "'log.txt',"), "is not a standard stream"),
    (
        "logging",
        replace("configs/logging.conf", "[loggers]", "loggers"),
        "logging.conf: File contains no section",
    ),
    *(
        ("metadata_keys", drop(META, key), f"key {key} is missing")
        for key in (
            *(
                "schema",
                "version",
                "monai_version",
                "pytorch_version",
                "numpy_version",
                "task",
                "description",
            ),
            *(
                "required_packages_version",
                "authors",
                "copyright",
                "network_data_format",
                "changelog",
                "name",
            ),
            *("intended_use", "data_source", "data_type", "image_classes", "pred_classes", "eval_metrics"),
        )
    ),
    ("metadata_keys", put(META, "authors", ["A", "B"]), "authors is not a text"),
    ("metadata_keys", put(META, "task", " "), "task is not a text with content"),
    ("metadata_keys", put(META, "supported_apps", []), "supported_apps is not an object"),
    ("metadata_keys", drop(META, "references"), "references is not a list"),
    ("metadata_keys", put(META, "references", [1]), "references is not a list of texts"),
    (
        "metadata_keys",
        put(META, "schema", "https://example.org/meta_schema_20220324.json"),
        "is not the address",
    ),
    ("metadata_keys", put(META, "intended_us", "x"), "unknown key intended_us, perhaps intended_use"),
    ("version", put(META, "version", "0.2"), "is not of the form"),
    ("version", put(META, "version", "0.3.0"), "0.3.0 is missing in changelog"),
    ("version", put(META, "changelog", {"0.2.0": ""}), "'0.2.0' is not a version with a text"),
    ("version", put(META, "changelog", {"0.1.0": "a", "0.2.0": "b"}), "newest first"),
    ("version", put(META, "changelog", {"0.3.0": "a", "0.2.0": "b"}), "newest first"),
    ("tensors", put(META, "network_data_format.inputs", {}), "inputs is not an object with content"),
    ("tensors", put(META, "network_data_format.inputs", {"picture": 1}), "inputs.image is missing"),
    ("tensors", put(META, "network_data_format.outputs", {"y": "text"}), "outputs.pred is missing"),
    (
        "tensors",
        put(META, "prompt_data_format", {"inputs": {"a": None}, "outputs": {"b": 1}}),
        "inputs.a is neither",
    ),
    *(
        ("tensors", drop(META, f"{IMAGE}.{key}"), key)
        for key in (
            *("type", "format", "modality", "dtype", "num_channels", "spatial_shape", "value_range"),
            *("is_patch_data", "channel_def"),
        )
    ),
    ("tensors", put(META, f"{IMAGE}.dtype", "float"), "dtype 'float' is not a tensor type"),
    ("tensors", put(META, f"{IMAGE}.num_channels", True), "num_channels True"),
    ("tensors", put(META, f"{IMAGE}.is_patch_data", "yes"), "is_patch_data is not"),
    ("tensors", put(META, f"{IMAGE}.spatial_shape", ["*", "*"]), "is not a list of sizes"),
    ("tensors", put(META, f"{IMAGE}.spatial_shape", [0, 8]), "is not a list of sizes"),
    ("tensors", put(META, f"{IMAGE}.value_range", []), "value_range is not"),
    ("tensors", put(META, f"{PRED}.value_range", [1, 0]), "value_range is not"),
    (
        "tensors",
        put(META, f"{IMAGE}.channel_def", {"0": "red", "1": "green"}),
        "channel_def is not '0' to '2'",
    ),
    ("tensors", put(META, f"{IMAGE}.channel_def.1", ""), "channel without a name"),
    ("labels", put(LABELS, "1.value", 2), "row 1 has the value 2"),
    ("labels", put(LABELS, "0.name", ""), "row 0 has no name"),
    ("labels", put(LABELS, "1.name", "grey"), "two rows have the same name"),
    ("labels", put(LABELS, "1.color", [128, 128, 128]), "two rows have the same color"),
    ("labels", put(LABELS, "1.color", [256, 0, 0]), "row 1 has a color"),
    ("labels", put(LABELS, "1.color", [0, 0]), "row 1 has a color"),
    ("labels", put(LABELS, "1.code", {"scheme": "SCT", "value": "1"}), "row 1 has a code"),
    ("labels", put(LABELS, "1.code", {**sct("1", "x"), "value": 1}), "row 1 has a code"),
    ("labels", edit(LABELS, lambda rows: rows[0].pop("code") and None), "row 0 has a code"),
    ("channel_def", put(LABELS, "1.name", "black"), "differs from labels.json in channel 1"),
    ("channel_def", edit(LABELS, lambda rows: rows[:1]), "differs from labels.json in channel 1"),
    ("pins", put(META, "monai_version", "1.5.0"), "monai '1.5.0' is not 'monai==1.6.1'"),
    ("pins", put(META, "pytorch_version", "2.9.0"), "torch '2.9.0'"),
    ("pins", put(META, "numpy_version", "two"), "numpy 'two'"),
    ("pins", put(META, "required_packages_version", {"scipy": "1.13"}), "scipy is not in requirements.txt"),
    ("size", lambda path: append(TRAIN, "\n" * 120)(path), "at most 120"),
    ("size", put(EVALUATE, "extra", ["$1"] * 9), "evaluate.json: 12 times \\$, at most 10"),
    ("expressions", put(INFER, "extra", "$lambda x: x"), "extra holds a lambda"),
    ("expressions", put(INFER, "extra", "$[x for x in @handlers]"), "holds a lambda or a comprehension"),
    ("expressions", put(INFER, "extra", "$dict(x for x in @handlers)"), "holds a lambda or a comprehension"),
    ("expressions", put(INFER, "extra", "$1 +"), "extra is not Python"),
    ("expressions", put(INFER, "extra", "%train.json::device"), "extra reads another file"),
    ("expressions", put(INFER, "imports.0", "$import none_such.x"), "imports none_such.x"),
    ("expressions", put(INFER, "imports.0", "$from none_such import x"), "imports none_such"),
    ("expressions", put(INFER, "imports.0", "$import os.path"), "imports os.path without `as`"),
    ("start", put(INFER, "initialize", ["$print(1)"]), "initialize needs imports::0 of the bundle's package"),
    (
        "start",
        put(TRAIN, "initialize", ["$@network_def.eval()"]),
        "train.json: initialize needs network_def of",
    ),
    ("targets", put(INFER, TARGET, "common.network.build"), "lies outside the bundle"),
    ("targets", put(INFER, TARGET, "monai.none.Such"), "_target_ monai.none.Such"),
    ("targets", put(INFER, TARGET, "NoSuchTransform"), "lies outside the bundle"),
    (
        "targets",
        replace(INFER, "network.build_network", "network.build_none"),
        "has no attribute 'build_none'",
    ),
    ("targets", replace(INFER, "network.build_network", "none.build_network"), "No module named"),
    ("targets", replace(TRAIN, "network.build_network", "network.__name__"), "is not callable"),
    ("targets", put(INFER, "network_def.colour", 1), "unexpected keyword argument 'colour'"),
    ("targets", drop(INFER, "dataset.folder"), "missing a required argument: 'folder'"),
    ("references", put(INFER, "extra", "@nowhere"), "extra refers to @nowhere"),
    ("references", put(INFER, "extra", "$@nowhere.x + 1"), "extra refers to @nowhere"),
    *(
        ("required_ids", drop(INFER, key), f"inference.json: id {key} is missing")
        for key in (
            *(
                "bundle_root",
                "device",
                "dataset_dir",
                "dataset",
                "evaluator",
                "network_def",
                "inferer",
                "run",
            ),
        )
    ),
    ("required_ids", drop(TRAIN, "train.trainer"), "train.json: id train::trainer::max_epochs is missing"),
    ("required_ids", drop(TRAIN, "train.dataset"), "train.json: id train::dataset is missing"),
    ("required_ids", drop(TRAIN, "train.inferer"), "train.json: id train::inferer is missing"),
    ("optional_ids", put(INFER, "evaluator.val_handlers", []), "val_handlers is not '@handlers'"),
    ("optional_ids", put(INFER, "evaluator.key_val_metric", {"a": 1}), "key_val_metric is not '@key_metric'"),
    (
        "optional_ids",
        put(INFER, "evaluator.postprocessing", "@handlers"),
        "postprocessing is not '@postprocessing'",
    ),
    ("optional_ids", put(TRAIN, "train.dataset.transform", "@x"), "transform is not '@train::preprocessing'"),
]
CHECKS = {check.__name__.removeprefix("check_"): check for check in STATIC_CHECKS}


def test_every_check_has_a_bundle_that_fails_it() -> None:
    assert {name for name, _, _ in MUTATIONS} == set(CHECKS)


def test_good_bundle_satisfies_all(toy: Bundle) -> None:
    assert {name: faults for name, check in CHECKS.items() if (faults := run_check(check, toy))} == {}


@pytest.mark.parametrize(
    ("name", "mutate", "match"), MUTATIONS, ids=[f"{name}-{match}" for name, _, match in MUTATIONS]
)
def test_check_finds(name: str, mutate: Mutation, match: str, toy: Bundle) -> None:
    mutate(toy.path)
    faults = run_check(CHECKS[name], toy)
    assert [fault for fault in faults if re.search(match, fault)], faults


def test_background_needs_no_channel(toy: Bundle) -> None:
    def shift(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        background = {"value": 0, "name": "background", "code": None, "color": [0, 0, 0]}
        return [background, *({**row, "value": row["value"] + 1} for row in rows)]

    edit(LABELS, shift)(toy.path)
    assert run_check(CHECKS["channel_def"], toy) == []


@pytest.mark.parametrize("name", ["labels", "channel_def", "targets", "required_ids", "tensors", "pins"])
def test_unreadable_files_never_pass(name: str, toy: Bundle) -> None:
    for file in toy.path.glob("configs/*.json"):
        file.write_text("[")
    assert run_check(CHECKS[name], toy)[0].startswith(f"check_{name}: cannot be done")
