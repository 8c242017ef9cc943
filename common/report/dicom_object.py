"""What all DICOM objects of ours have in common: series numbers, equipment, references, letters, writing."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ..errors import OutputError
from ..io.files import atomic_path
from ..io.history_dicom import PLACES
from .provenance import MANUFACTURER, Algorithm, describe_equipment, long_string

DICOM_FOLDER = "dicom"
"""Where a case's DICOM objects stand, below its other results."""

UTF_8 = "ISO_IR 192"
LATIN_1 = "ISO_IR 100"
CLINICAL_TEXT = tuple(keyword for sequence, keyword in PLACES if not sequence)
"""What somebody wrote about the patient: not copied into our objects. Identification is."""

_ASCII = ("", "ISO_IR 6", "ISO 2022 IR 6")
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")


@dataclass(frozen=True)
class Kind:
    """A kind of DICOM object.

    Attributes:
        name: short, as in UIDs and documents.
        sop_class_uid: what it is.
        series_number: of its series, the same in every study (choice: above any scanner's).
    """

    name: str
    sop_class_uid: str
    series_number: int


SEG = Kind("SEG", SegmentationStorage, 9000)
SR = Kind("SR", ComprehensiveSRStorage, 9100)
SC = Kind("SC", SecondaryCaptureImageStorage, 9200)
GSPS = Kind("GSPS", GrayscaleSoftcopyPresentationStateStorage, 9300)
KINDS = (SEG, SR, SC, GSPS)


def describe_object(
    kind: Kind, algorithm: Algorithm, uids: tuple[str, str], title: str, contribution: str, number: int = 1
) -> dict[str, Any]:
    """Arguments that every constructor of highdicom takes.

    Args:
        kind: of the object.
        algorithm: what made it.
        uids: of series and instance.
        title: description of the series.
        contribution: what the algorithm did, e.g. "Automatic segmentation of a CT".
        number: of the instance in its series, from 1.
    """
    return {
        "series_instance_uid": uids[0],
        "series_number": kind.series_number,
        "series_description": long_string(title),
        "sop_instance_uid": uids[1],
        "instance_number": number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": long_string(algorithm.name),
        "software_versions": algorithm.software_versions,
        "device_serial_number": algorithm.serial_number,
        "contributing_equipment": [describe_equipment(algorithm, contribution)],
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "specific_character_set": UTF_8,  # `save_object` says which it will be
    }


def add_references(dataset: Dataset, sources: Iterable[Dataset]) -> None:
    """Name the sources by series: those of the object's own study, then those of other studies."""
    studies: dict[str, dict[str, list[Dataset]]] = {dataset.StudyInstanceUID: {}}
    for header in sources:
        item = Dataset()
        item.ReferencedSOPClassUID = header.SOPClassUID
        item.ReferencedSOPInstanceUID = header.SOPInstanceUID
        series = studies.setdefault(header.StudyInstanceUID, {})
        series.setdefault(header.SeriesInstanceUID, []).append(item)
    own, *others = [(uid, _list_series(series)) for uid, series in studies.items()]
    if own[1]:
        dataset.ReferencedSeriesSequence = own[1]
    if others:
        dataset.StudiesContainingOtherReferencedInstancesSequence = [_study(*one) for one in others]


def _list_series(series: dict[str, list[Dataset]]) -> list[Dataset]:
    items = []
    for uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, instances
        items.append(item)
    return items


def _study(uid: str, series: list[Dataset]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.ReferencedSeriesSequence = uid, series
    return item


def save_object(dataset: Dataset, source: Dataset, path: str | Path) -> None:
    """Write in the character set of the source, or in UTF-8 where that lacks a letter.

    `CLINICAL_TEXT` is left out. The rest is read back before the file appears: no name may be garbled.

    Args:
        dataset: complete but for its character set.
        source: header that patient and study were copied from.
        path: file to write.

    Raises:
        OutputError: cannot be written, or its text does not come back as it was.
    """
    for keyword in CLINICAL_TEXT:
        dataset.pop(keyword, None)
    texts = list(_texts(dataset))
    for character_set in _character_sets(source, texts):
        dataset.SpecificCharacterSet = character_set
        if _read_back(dataset) == texts:
            break
    else:
        raise OutputError(f"{Path(path).name}: expected its text to come back, got another: report this")
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _character_sets(source: Dataset, texts: Sequence[tuple[Any, str]]) -> list[Any]:
    """The source's own if it is a defined one; where none is declared the bytes were read as Latin-1."""
    declared = source.get("SpecificCharacterSet") or ""
    first, *others = list(declared) if isinstance(declared, MultiValue) else [str(declared)]
    if not {first, *others} <= set(python_encoding):
        return [UTF_8]
    if first not in _ASCII:
        return [declared, UTF_8]
    letters = {letter for _, text in texts for letter in text if not letter.isascii()}
    if not others:
        return [LATIN_1, UTF_8] if letters else [UTF_8]
    # pydicom would write Latin-1 where only ASCII is declared
    known = [python_encoding[value] for value in others]
    fits = all(any(_can_encode(letter, encoding) for encoding in known) for letter in letters)
    return [declared, UTF_8] if fits else [UTF_8]


def _can_encode(letter: str, encoding: str) -> bool:
    try:
        return bool(letter.encode(encoding))
    except UnicodeError:
        return False


def _texts(dataset: Dataset) -> Iterator[tuple[Any, str]]:
    """Tag and value of every text, those of sequences included."""
    for element in dataset.iterall():
        if element.VR in _TEXT:
            several = isinstance(element.value, (MultiValue, list, tuple))
            values = element.value if several else [element.value]
            yield element.tag, "\\".join("" if value is None else str(value).rstrip() for value in values)


def _read_back(dataset: Dataset) -> list[tuple[Any, str]]:
    """The texts of what would be written, without pixels; nothing where it cannot be encoded."""
    bare = Dataset()
    bare.update({tag: dataset.get_item(tag) for tag in dataset.keys() if tag.group < 0x7FE0})  # noqa: SIM118
    with io.BytesIO() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote what cannot be encoded
        try:
            pydicom.dcmwrite(stream, bare, implicit_vr=False, little_endian=True)
        except UnicodeError:
            return []
        stream.seek(0)
        return list(_texts(pydicom.dcmread(stream, force=True)))
