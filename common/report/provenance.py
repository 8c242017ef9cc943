"""What every DICOM object of ours says about its origin: who made it, of whom, with which UIDs."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from ..errors import ConfigError, InputError

MANUFACTURER = "clinical-monai-bundles"
CODING_SCHEME = "99CMB"
"""Designator of our own codes, for what no public scheme names; private designators begin with 99."""

CODING_SCHEMES = (hd.coding_schemes.CodingSchemeIdentificationItem(CODING_SCHEME, name=MANUFACTURER),)
"""What objects with such codes say about their scheme."""

_REQUIRED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_CHECKED = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}


@dataclass(frozen=True)
class Algorithm:
    """What made the object.

    Attributes:
        name: of the method.
        version: of the method: the bundle's.
        weights_sha256: of the weights file, hexadecimal; empty without one.
        weights: name of the weights; empty without them.
    """

    name: str
    version: str
    weights_sha256: str = ""
    weights: str = ""

    @property
    def serial_number(self) -> str:
        """The weights, as the serial number of a device."""
        return self.weights_sha256[:16] or "none"

    @property
    def parameters(self) -> dict[str, str]:
        """What tells these weights from others, for the algorithm's identification."""
        known = {"weights": self.weights, "weights_sha256": self.weights_sha256}
        return {key: value for key, value in known.items() if value}

    @property
    def software_versions(self) -> str | list[str]:
        """Version of the method, and name of the weights where there are any."""
        version = long_string(self.version)
        return [version, long_string(self.weights)] if self.weights else version


def read_version(package_file: str) -> str:
    """The version of the bundle that a module's file belongs to, from its configs/metadata.json.

    Raises:
        ConfigError: no such file, or no version in it.
    """
    path = Path(package_file).resolve().parents[1] / "configs" / "metadata.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "configs/metadata.json: expected the bundle's version, got none: unpack the bundle again"
        ) from error


def content_uid(*parts: object) -> UID:
    """A UID (2.25 and 128 bits of SHA-256) that is the same for the same parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


@contextmanager
def building(name: str, standard: str, instead: str) -> Iterator[None]:
    """Around calls of highdicom: its errors become ours, its warnings and log are silenced.

    The warnings quote patients' names, the log UIDs.

    Args:
        name: what is built, for the message.
        standard: kind of object, e.g. "a DICOM SEG".
        instead: what the reader can do without it.

    Raises:
        InputError: a header that highdicom cannot build upon.
    """
    log = logging.getLogger("highdicom")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{name}: expected headers that {standard} can follow, got broken ones: {instead}"
        ) from error
    finally:
        log.setLevel(level)


def complete_header(header: Dataset) -> Dataset:
    """A copy; required elements are empty where an anonymiser removed them or their value is impossible."""
    complete = copy.deepcopy(header)
    for keyword in _REQUIRED:
        value = header.get(keyword)
        if value is None or not _is_possible(keyword, str(value)):
            setattr(complete, keyword, "")
    return complete


def describe_equipment(algorithm: Algorithm, contribution: str) -> hd.ContributingEquipment:
    """The software as contributing equipment.

    Args:
        algorithm: what it was.
        contribution: what it did, e.g. "Automatic segmentation of a CT".
    """
    return hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=long_string(algorithm.name),
        software_versions=algorithm.software_versions,
        device_serial_number=algorithm.serial_number,
        contribution_description=contribution,
    )


def long_string(text: str) -> str:
    """A long string (LO) of DICOM: at most 64 characters, without the separator of values."""
    return " ".join(text.replace("\\", "/").split())[:64] or "unknown"


def _is_possible(keyword: str, text: str) -> bool:
    """Dates and times that can be read, a sex of the defined ones, everything else."""
    if keyword == "PatientSex":
        return text in ("", "M", "F", "O")
    try:
        return keyword not in _CHECKED or not text or _CHECKED[keyword](text) is not None
    except ValueError:
        return False
