"""Coded concepts of the DICOM outputs: public codes where there are any, else our own (99CMB)."""

from __future__ import annotations

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from common.report.dicom_sr import Site
from common.report.provenance import CODING_SCHEME

MAMMOGRAPHY: Code = codes.SCT.Mammography
ASSESSMENT: Code = codes.DCM.OverallAssessment
REGION: Code = codes.DCM.SelectedRegion
SUMMARY: Code = codes.DCM.Summary
COMMENT: Code = codes.DCM.Comment
HISTORY: Code = codes.DCM.History
PROBABILITY: Code = codes.DCM.ProbabilityOfCancer
PERCENT: Code = codes.UCUM.Percent
NO_UNITS: Code = codes.UCUM.NoUnits
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")

SCORE = Code("score", CODING_SCHEME, "Malignancy score, raw, 0 to 1")
IMAGE_ONLY = Code("image_only_score", CODING_SCHEME, "Malignancy score of the image alone, raw, 0 to 1")
ATTENTION = Code("attention", CODING_SCHEME, "Attention of the region among those of its view")
DETECTOR = Code("detector_score", CODING_SCHEME, "Score of the detector")
SUSPICIOUS = Code("suspicious", CODING_SCHEME, "At or above the operating point")
HISTORY_USE = Code("history_use", CODING_SCHEME, "Use of the clinical history")
HISTORY_USES = {
    "used": Code("history_used", CODING_SCHEME, "Used"),
    "missing": Code("history_missing", CODING_SCHEME, "Missing"),
}

BREASTS = {
    "R": Site(codes.SCT.Breast, codes.SCT.Right),
    "L": Site(codes.SCT.Breast, codes.SCT.Left),
}
