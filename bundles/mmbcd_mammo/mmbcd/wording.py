"""The plain words of the pictures, the report and the DICOM outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.report.wording import capitalise, join_words, weights_note

SIDES = {"R": "right", "L": "left"}
LARGE_CHANGE = 0.3
"""Change of a score by the history from which a reader is told to compare (choice: a third of the scale)."""

RULES = {"max": "the highest of its {parts}", "mean": "the mean of its {parts}"}
ATTENTION = (
    "Attention says how much each region took part when the history asked the picture; the shares of one "
    "view add up to 100 %. It is not a probability of malignancy."
)
SHARES = (
    "These weights have no attention: the share says in how many features a region was the strongest of its "
    "view. It is not a probability of malignancy."
)
NOT_CALIBRATED = (
    "The scores are raw answers of the network, 0 to 1. No calibration was given, so they are not "
    "probabilities, and there is no threshold that calls a case suspicious."
)


def purpose_note(record: Mapping[str, Any]) -> str:
    """What must stand in plain sight: what the classifier's weights are for, else the detector's."""
    note = weights_note(record["weights"])
    if note or record["detector"]["purpose"] == "given":
        return note
    detector = weights_note(record["detector"])
    return f"detector: {detector}" if detector else ""


def name_breast(laterality: str) -> str:
    """ "right breast"."""
    return f"{SIDES[laterality]} breast"


def format_score(value: float | None) -> str:
    """Two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"  # noqa: RUF001


def format_change(value: float | None) -> str:
    """With its sign, two decimals; a dash where there is none."""
    if value is None:
        return "–"  # noqa: RUF001
    return "0.00" if abs(value) < 0.005 else f"{value:+.2f}"


def headline(record: Mapping[str, Any]) -> str:
    """The result in one line of plain words."""
    study = record["study"]
    if study["score"] is None:
        return "No result: no region was found in any view"
    if study["suspicious"] is None:
        return f"Malignancy score {name_value(study)}{_name_highest(record)}"
    if not any(row["suspicious"] for row in (study, *record["breasts"])):
        return f"Below the operating point: {name_value(study)}"
    above = [name_breast(row["laterality"]) for row in record["breasts"] if row["suspicious"]]
    where = f", {join_words(above)}" if above else ""
    return f"Above the operating point: {name_value(study)}{where}"


def name_value(row: Mapping[str, Any]) -> str:
    """The calibrated probability where there is one, else the raw score."""
    if row["probability"] is not None:
        return f"probability of malignancy {row['probability']:.0%}"
    return f"{format_score(row['score'])} (raw, not calibrated)"


def _name_highest(record: Mapping[str, Any]) -> str:
    known = [row for row in record["breasts"] if row["score"] is not None]
    if len(known) < 2:
        return ""
    return f", highest in the {name_breast(max(known, key=lambda row: row['score'])['laterality'])}"


def describe_result(record: Mapping[str, Any]) -> list[str]:
    """What the headline leaves out: both breasts, the calibration, the history, that it is no diagnosis."""
    sentences = [_describe_breast(row) for row in record["breasts"]]
    if record["calibration"] is not None:
        fitted_on = record["calibration"]["fitted_on"]
        sentences.append(f"Probabilities and operating points were fitted on {fitted_on}.")
    sentences += describe_history(record)
    return [*sentences, "This is the answer of a program, not a diagnosis: read the mammograms."]


def _describe_breast(row: Mapping[str, Any]) -> str:
    name = capitalise(name_breast(row["laterality"]))
    if row["score"] is None:
        return f"{name}: no result, no region was found."
    return f"{name}: {name_value(row)}, from {join_words(row['views'])}."


def describe_history(record: Mapping[str, Any]) -> list[str]:
    """Whether a history was used, from where, and what it changed."""
    history = record["history"]
    if history["status"] == "used":
        length = f"{history['length']} characters"
        return [f"The clinical history ({history['source']}, {length}) was used.", *_describe_change(record)]
    words = "was refused" if history["status"] == "refused" else "is missing"
    return [f"The clinical history {words}: {history['reason']}. The result rests on the pictures."]


def _describe_change(record: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each breast that has a score."""
    for row in record["breasts"]:
        name = f"the score of the {name_breast(row['laterality'])}"
        change = row["history_change"]
        if row["score"] is None:
            continue
        if change is None:
            yield f"Nothing in it concerns the {name_breast(row['laterality'])}, read as without one."
        elif abs(change) < 0.005:
            yield f"It left {name} at {format_score(row['score'])}."
        else:
            verb = "raised" if change > 0 else "lowered"
            before, after = format_score(row["image_only_score"]), format_score(row["score"])
            yield f"It {verb} {name} from {before} (picture alone) to {after}."


def list_doubts(record: Mapping[str, Any]) -> list[str]:
    """What a reader should look at before the numbers are used; empty where nothing stands out."""
    doubts = [
        f"{row['name']}: no region was found; this view has no say."
        for row in record["images"]
        if not row["regions"]
    ]
    doubts += [f"{row['file']} was left out: {row['reason']}." for row in record["source"]["left_out"]]
    sides = {row["laterality"] for row in record["images"]}
    doubts += [f"There is no picture of the {name_breast(side)}." for side in SIDES if side not in sides]
    doubts += [
        f"The history changed the score of the {name_breast(row['laterality'])} by "
        f"{format_change(row['history_change'])}: compare with the picture alone."
        for row in record["breasts"]
        if abs(row["history_change"] or 0) >= LARGE_CHANGE
    ]
    return [*doubts, *record["history"]["notes"]]


def choose_tone(record: Mapping[str, Any]) -> str:
    """Colour of the verdict: bad (no result), caution (above the operating point), else neutral or good."""
    if record["study"]["score"] is None:
        return "bad"
    if any(row["suspicious"] for row in (record["study"], *record["breasts"])):
        return "caution"
    clear = record["study"]["suspicious"] is False and not purpose_note(record)
    return "good" if clear else "neutral"


def describe_rules(record: Mapping[str, Any]) -> list[str]:
    """How scores come about, in sentences."""
    rules, calibration = record["rules"], record["calibration"]
    sentences = [
        "A view's score is the network's softmax for malignant, from its regions and the history.",
        f"A breast's score is {RULES[rules['breast']].format(parts='views')}, the study's is "
        f"{RULES[rules['study']].format(parts='breasts')}.",
    ]
    if calibration is None:
        return [*sentences, NOT_CALIBRATED]
    return [*sentences, *(_describe_level(level, row) for level, row in calibration["levels"].items())]


def _describe_level(level: str, row: Mapping[str, Any]) -> str:
    where = f"{row['cases']} validation cases ({row['malignant']} malignant)"
    text = f"{capitalise(level)}: probabilities by {row['method']} scaling fitted on {where}"
    point = row["operating_point"]
    if point is None:
        return f"{text}; no operating point."
    return (
        f"{text}; operating point at a score of {point['threshold']:.3f} ({point['rule']}; there sensitivity "
        f"{point['sensitivity']:.2f}, specificity {point['specificity']:.2f})."
    )


def describe_shares(attention: bool) -> str:
    """What the percentage beside a region means."""
    return ATTENTION if attention else SHARES


def title_view(row: Mapping[str, Any]) -> str:
    """ "R CC: 0.73 (picture alone 0.61)"."""
    if row["score"] is None:
        return f"{row['name']}: no region found"
    value = f"{row['probability']:.0%}" if row["probability"] is not None else format_score(row["score"])
    return f"{row['name']}: {value} (picture alone {format_score(row['image_only_score'])})"


def name_region(row: Mapping[str, Any]) -> str:
    """ "1: 62%"."""
    return f"{row['rank']}: {row['attention']:.0%}"


def name_views(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Unique names of views: "R CC", and "R CC (2)" for a second one.

    Args:
        rows: (laterality, view).
    """
    names: list[str] = []
    for laterality, view in rows:
        name = f"{laterality} {view}"
        count = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def file_name(view: str) -> str:
    """ "R CC (2)" -> "R_CC_2"."""
    return view.replace(" ", "_").replace("(", "").replace(")", "")
