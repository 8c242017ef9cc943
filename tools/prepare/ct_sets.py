"""Public CT sets: KiTS23, TotalSegmentator, KiPA22, AMOS22."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

import nibabel as nib
import numpy as np

from common.errors import ConfigError, InputError
from common.io.ct_volume import read_ct
from common.io.files import atomic_path
from common.io.nifti import write_nifti_mask
from ksam.label_maps import read_label_map

from .entries import Collected, Entry, Request, need, strip_suffixes, structure
from .split import normal_part

AMOS_ORGANS = (
    "spleen",
    "kidney_right",
    "kidney_left",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "postcava",
    "pancreas",
    "adrenal_gland_right",
    "adrenal_gland_left",
    "duodenum",
    "bladder",
    "prostate_uterus",
)
"""Label values 1 to 15 of AMOS22."""

KIPA_STRUCTURES = ((1, "renal_vein"), (2, "kidney"), (3, "artery"), (4, "tumor"))

KIPA_LICENCE = "CC BY-NC-ND by the challenge's rules, which forbid passing the data on"
"""KiPA22-RuleAgreement.pdf (points 3 and 7) in github.com/KiPA2022/kipa22; no version is named."""

AMOS_LICENCE = "CC BY 4.0 (Zenodo); the paper's page says CC BY-NC"
"""The sources contradict each other: ask the publishers, and state the answer by --licence."""

AMOS_LAST_CT = 500
"""AMOS22's cases above this number are MR."""


def collect_kits23(request: Request) -> Collected:
    """dataset/case_00000/imaging.nii.gz and segmentation.nii.gz; 1 kidney, 2 tumour, 3 cyst.

    Raises:
        InputError: no such case, or one without its segmentation.
    """
    root = request.source / "dataset" if (request.source / "dataset").is_dir() else request.source
    entries = [
        Entry(folder.name, folder / "imaging.nii.gz", _beside(folder, "segmentation.nii.gz"), folder.name)
        for folder in sorted(root.glob("case_*"))
        if (folder / "imaging.nii.gz").is_file()
    ]
    structures = [structure("kidney", [1, 2, 3])]
    structures += [structure("tumor", [2], "kidney"), structure("cyst", [3], "kidney")]
    need(entries, request.source, "case_*/imaging.nii.gz (get the images with KiTS' own script)")
    return Collected("KiTS23", "CT", "CC BY-NC-SA 4.0", structures, [0], entries)


def collect_kipa22(request: Request) -> Collected:
    """train/image/NAME.nii.gz and train/label/NAME.nii.gz; 1 vein, 2 kidney, 3 artery, 4 tumour.

    The order of the labels is that of the challenge's own evaluation (github.com/KiPA2022/kipa22,
    EVALUATION/evaluation.py); other values are named by `named_values`. The images are unsigned; the
    challenge's own loader only clips them to 0..2048, and no document states what 0 is. That they are HU and
    1024 is an assumption (fat and soft tissue lie near 921 and 1074): `hu_offset` is added where a volume has
    no negative value.

    Raises:
        InputError: no such case, or an image without its label.
    """
    root = request.source / "train" if (request.source / "train").is_dir() else request.source
    entries = []
    for image in sorted((root / "image").glob("*.nii.gz")):
        label = _beside(root / "label", image.name)
        make = functools.partial(_shift_to_hu, image, label, request.hu_offset)
        entries.append(Entry(strip_suffixes(image), image, label, strip_suffixes(image), make=make))
    structures = [structure(name, [value]) for value, name in request.named_values or KIPA_STRUCTURES]
    need(entries, request.source, "train/image/*.nii.gz and train/label/*.nii.gz")
    return Collected("KiPA22", "CT", KIPA_LICENCE, structures, [0], entries)


def collect_amos22(request: Request) -> Collected:
    """imagesTr, labelsTr and imagesVa, labelsVa with amos_0001.nii.gz ...; MR cases are left out.

    Raises:
        InputError: no such case, or an image without its label.
        ConfigError: an unknown structure.
    """
    entries = []
    sides = (("imagesTr", "labelsTr", "training"), ("imagesVa", "labelsVa", "validation"))
    for images, labels, part in sides:
        for image in sorted((request.source / images).glob("amos_*.nii.gz")):
            number = re.search(r"\d+", image.name)
            if number and int(number[0]) <= AMOS_LAST_CT:
                label = _beside(request.source / labels, image.name)
                entries.append(Entry(strip_suffixes(image), image, label, strip_suffixes(image), part))
    wanted = request.structures or ("kidney_right", "kidney_left")
    for name in wanted:
        if name not in AMOS_ORGANS:
            raise ConfigError(f"structures: expected of {', '.join(AMOS_ORGANS)}, got '{name}': correct it")
    structures = [structure(name, [AMOS_ORGANS.index(name) + 1]) for name in wanted]
    background = [value for value in range(16) if all(value not in s["values"] for s in structures)]
    need(entries, request.source, "imagesTr/amos_*.nii.gz and labelsTr/amos_*.nii.gz")
    return Collected("AMOS22", "CT", AMOS_LICENCE, structures, background, entries)


def collect_totalsegmentator(request: Request) -> Collected:
    """s0000/ct.nii.gz, s0000/segmentations/NAME.nii.gz, and meta.csv with its split.

    The masks of the wanted structures are joined into one label map; cases without any are left out.

    Raises:
        InputError: no such case, or a mask that is missing or on another grid.
    """
    wanted = request.structures or ("kidney_right", "kidney_left")
    official = _totalsegmentator_split(request.source / "meta.csv")
    entries = []
    for image in sorted(request.source.glob("*/ct.nii.gz")):
        folder, name = image.parent, image.parent.name
        masks = [_beside(folder / "segmentations", f"{organ}.nii.gz") for organ in wanted]
        make = functools.partial(_join_masks, image, masks, name)
        entries.append(Entry(name, image, None, name, official.get(name), make=make))
    structures = [structure(name, [value]) for value, name in enumerate(wanted, 1)]
    need(entries, request.source, "s*/ct.nii.gz with s*/segmentations/")
    return Collected("TotalSegmentator", "CT", "CC BY 4.0", structures, [0], entries)


def _beside(folder: Path, name: str) -> Path:
    """A file that must be there. Raises InputError."""
    if not (folder / name).is_file():
        raise InputError(f"{folder.name}: expected {name}, got no such file: complete the download")
    return folder / name


def _totalsegmentator_split(path: Path) -> dict[str, str]:
    """image_id -> part; empty where there is no meta.csv."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    parts = ((row.get("image_id", ""), normal_part(row.get("split") or "")) for row in rows)
    return {name: part for name, part in parts if part}


def _join_masks(image: Path, masks: list[Path], name: str, folder: Path) -> tuple[Path, Path] | None:
    volume = read_ct(image)
    joined = np.zeros(volume.shape, np.uint8)
    for value, mask in enumerate(masks, 1):
        joined[read_label_map(mask).on_grid(volume.affine_ras_mm, volume.shape) > 0] = value
    if not joined.any():
        return None
    write_nifti_mask(joined, volume, folder / f"{name}.nii.gz")
    return image, folder / f"{name}.nii.gz"


def _shift_to_hu(image: Path, label: Path, offset: float, folder: Path) -> tuple[Path, Path]:
    stored = nib.nifti1.load(image)
    values = np.asanyarray(stored.dataobj)
    if values.min() < 0:
        return image, label
    shifted = np.clip(values.astype(np.float32) + offset, -1024, 32767).astype(np.int16)
    with atomic_path(folder / f"{strip_suffixes(image)}.nii.gz") as temporary:
        nib.save(nib.Nifti1Image(shifted, stored.affine), temporary)
    return folder / f"{strip_suffixes(image)}.nii.gz", label
