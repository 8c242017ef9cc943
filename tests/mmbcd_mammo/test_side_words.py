"""Sentences as hospitals write them, in every language of the table: what each breast gets of them."""

# ruff: noqa: RUF001 - words of other alphabets

from __future__ import annotations

import re
import time
from dataclasses import fields

import pytest

from mmbcd.laterality import find_language, history_for_breast, named_sides
from mmbcd.side_words import LANGUAGES

ALL = "<all>"

CASES: dict[str, list[tuple[str, str, str]]] = {
    "Spanish": [
        ("Nódulo en mama izquierda de 2 meses de evolución", ALL, ""),
        (
            "Nódulo palpable mama dcha. Antecedentes familiares de ca de mama.",
            "Antecedentes familiares de ca de mama.",
            ALL,
        ),
        (
            "Mastalgia mama izda, sin nódulos. Mama derecha normal.",
            "Mastalgia mama izda, sin nódulos.",
            "Mama derecha normal.",
        ),
        ("Dolor mama D y bulto en mama I", "bulto en mama I", "Dolor mama D"),
        ("Nódulo CSE MI", ALL, ""),
        ("NODULO EN MI MAMA", ALL, ALL),
        (
            "Tumorectomía dcha en 2015, control de la otra mama",
            "control de la otra mama",
            "Tumorectomía dcha en 2015",
        ),
        ("Dolor de hombro izquierdo y nódulo en mama derecha", "", ALL),
        ("Mastalgia bilateral, madre con cáncer de mama", ALL, ALL),
        ("Nódulos en mamas derecha e izquierda", ALL, ALL),
        ("Ovario derecho operado, cribado", ALL, ALL),
        ("Paciente derechohabiente, control anual", ALL, ALL),
        (
            "Secreción por pezón derecho pero mama izq sin cambios",
            "pero mama izq sin cambios",
            "Secreción por pezón derecho",
        ),
    ],
    "Portuguese": [
        ("Nódulo em mama esquerda há 3 meses", ALL, ""),
        (
            "Nódulo mama E há 2 meses. Mama D sem alterações.",
            "Nódulo mama E há 2 meses.",
            "Mama D sem alterações.",
        ),
        ("Mastectomia à direita em 2018, mãe com câncer de mama", "mãe com câncer de mama", ALL),
        ("DOR NA MAMA E AXILA", ALL, ALL),
        ("Descarga papilar ME", ALL, ""),
        ("Nódulo em mama dir. Antecedentes familiares negativos", "Antecedentes familiares negativos", ALL),
        ("Dor na axila esq com nódulo na mama direita", "Dor na axila esq", "nódulo na mama direita"),
        ("Mastalgia em ambas as mamas", ALL, ALL),
        ("Nódulos em mamas D e E", ALL, ALL),
        ("Dor no ombro direito, rastreio", ALL, ALL),
        ("Nódulo no seio esquerdo mas o direito normal", "Nódulo no seio esquerdo", "mas o direito normal"),
    ],
    "French": [
        ("Nodule du sein gauche depuis 2 mois", ALL, ""),
        ("Nodule sein dt, douleur. ATCD familiaux : mère.", "ATCD familiaux : mère.", ALL),
        (
            "Tumorectomie sein G en 2012, contrôle du sein controlatéral",
            "Tumorectomie sein G en 2012",
            "contrôle du sein controlatéral",
        ),
        ("Mastodynies bilatérales", ALL, ALL),
        ("SEIN D : RAS, SEIN G : nodule", "SEIN G : nodule", "SEIN D : RAS"),
        (
            "Sein droit normal et écoulement du mamelon gauche",
            "écoulement du mamelon gauche",
            "Sein droit normal",
        ),
        ("Masse du sein droit à 10 h", "", ALL),
        ("Douleur épaule gauche, dépistage", ALL, ALL),
        ("Les deux seins sont douloureux", ALL, ALL),
        ("SEIN D'ASPECT NORMAL", ALL, ALL),
        ("Patiente gauchère, a droit au dépistage", ALL, ALL),
        ("Douleur du bras droit et nodule du sein gauche", ALL, ""),
    ],
    "German": [
        ("Knoten links", ALL, ""),
        ("Tastbarer Knoten linke Brust seit 2 Monaten", ALL, ""),
        (
            "Mamma re. unauffällig, Mamma li. Herd oberer äußerer Quadrant",
            "Mamma li. Herd oberer äußerer Quadrant",
            "Mamma re. unauffällig",
        ),
        ("Z.n. BET re. 2015; Mutter Mamma-Ca.", "Mutter Mamma-Ca.", ALL),
        ("Re-Exzision der Brust geplant", ALL, ALL),
        ("Mastodynie bds., keine Knoten", ALL, ALL),
        ("Schmerzen rechte Schulter, Vorsorge", ALL, ALL),
        ("Schmerzen Schulter li. und Knoten rechte Brust", "", ALL),
        ("Sekretion aus der Mamille rechts, links o.B.", "links o.B.", "Sekretion aus der Mamille rechts."),
        ("Tastbefund re. u. li.", ALL, ALL),
        ("Ablatio links 2010, Kontrolle der Gegenseite", "Ablatio links 2010", "Kontrolle der Gegenseite"),
        ("Pat. ist Linkshänderin, recht gut tastbarer Knoten", ALL, ALL),
        ("Lt. Hausarzt Knoten der rechten Brust", "", ALL),
        ("Knoten Brust R, seit 3 Wochen", "", ALL),
    ],
    "Italian": [
        ("Nodulo mammella sinistra da 2 mesi", ALL, ""),
        ("Nodulo palpabile mammella dx. Familiarità per ca mammario.", "Familiarità per ca mammario.", ALL),
        ("Mastodinia sn, mammella dx nei limiti", "Mastodinia sn", "mammella dx nei limiti"),
        (
            "Pregressa quadrantectomia sx con dolore al seno destro",
            "Pregressa quadrantectomia sx",
            "dolore al seno destro",
        ),
        ("Mastodinia bilaterale", ALL, ALL),
        ("Dolore alla spalla destra, screening", ALL, ALL),
        ("Noduli dx e sx", ALL, ALL),
        ("Trauma della mammella da sinistro stradale", ALL, ALL),
        (
            "Secrezione dal capezzolo sinistro ma nessun nodulo a destra",
            "Secrezione dal capezzolo sinistro",
            "ma nessun nodulo a destra",
        ),
    ],
    "Dutch": [
        ("Knobbeltje linkerborst sinds 2 maanden", ALL, ""),
        (
            "Palpabele zwelling re mamma. Familieanamnese: moeder mammacarcinoom.",
            "Familieanamnese: moeder mammacarcinoom.",
            ALL,
        ),
        (
            "Pijn in de linker borst en knobbel in de rechter oksel",
            "Pijn in de linker borst",
            "knobbel in de rechter oksel",
        ),
        (
            "Mamma links geen afwijkingen, mamma rechts knobbel",
            "Mamma links geen afwijkingen",
            "mamma rechts knobbel",
        ),
        ("Pijnlijke borsten bdz, geen knobbel", ALL, ALL),
        (
            "Ablatio li in 2010, controle van de andere borst",
            "Ablatio li in 2010",
            "controle van de andere borst",
        ),
        ("Pijn in de linkerarm, knobbel rechterborst", "Pijn in de linkerarm", ALL),
        ("Rechterschouder geopereerd, bevolkingsonderzoek", ALL, ALL),
        ("Tepeluitvloed li maar re geen klachten", "Tepeluitvloed li", "maar re geen klachten"),
    ],
    "Russian": [
        ("Образование левой молочной железы в течение 2 месяцев", ALL, ""),
        ("Узел в правой МЖ. У матери рак молочной железы.", "У матери рак молочной железы.", ALL),
        ("Боль слева, справа без особенностей", "Боль слева", "справа без особенностей"),
        ("Узел лев. молочной железы, 2 см", ALL, ""),
        ("ПМЖ без изменений, ЛМЖ узел", "ЛМЖ узел", "ПМЖ без изменений"),
        ("Мастодиния обеих молочных желез", ALL, ALL),
        ("Узел правильной формы, принимает левотироксин", ALL, ALL),
        ("Боль в левом плече, скрининг", ALL, ALL),
        ("Киста левого яичника и узел правой молочной железы", "", ALL),
        (
            "Мастэктомия слева в 2015, контроль другой молочной железы",
            "Мастэктомия слева в 2015",
            "контроль другой молочной железы",
        ),
        ("Уплотнение справа, но слева всё чисто", "но слева всё чисто", "Уплотнение справа"),
        ("Боли в правой и левой молочной железе", ALL, ALL),
    ],
    "Hindi": [
        ("बाएं स्तन में गांठ 2 महीने से", ALL, ""),
        ("दाहिने स्तन में दर्द। परिवार में स्तन कैंसर।", "परिवार में स्तन कैंसर।", ALL),
        ("बायें स्तन में गांठ और दायें स्तन में दर्द", "बायें स्तन में गांठ", "दायें स्तन में दर्द"),
        ("दोनों स्तनों में दर्द", ALL, ALL),
        ("बाईं ओर गांठ, दाईं ओर सामान्य", "बाईं ओर गांठ", "दाईं ओर सामान्य"),
        ("बाएं कंधे में दर्द, स्क्रीनिंग", ALL, ALL),
        ("left breast में गांठ, right breast सामान्य", "left breast में गांठ", "right breast सामान्य"),
        (
            "bayen stan mein gaanth, dahine stan mein dard nahi",
            "bayen stan mein gaanth",
            "dahine stan mein dard nahi",
        ),
        ("दाई ने जांच की, गांठ है", ALL, ALL),
    ],
}


@pytest.mark.parametrize(
    ("language", "text", "left", "right"),
    [(language, *case) for language, cases in CASES.items() for case in cases],
    ids=lambda value: value[:28],
)
def test_each_breast_gets_its_clauses(language: str, text: str, left: str, right: str) -> None:
    assert find_language(text) == language
    for side, wanted in (("L", left), ("R", right)):
        assert history_for_breast(text, side) == (text if wanted == ALL else wanted)


def test_every_language_is_tested() -> None:
    assert set(LANGUAGES) == {"English", *CASES}


@pytest.mark.parametrize(
    "text",
    [
        "Patient sent links to previous imaging, no lump",
        "Re: screening mammogram",
        "Dx: ca, Sx: pain since 2 months",
        "Referred by Dr. Smith, MD",
        "Breast density D",
        "Lump e.g. cyst, seen in E. ward",
        "A gauche manner of walking",
    ],
)
def test_words_that_are_sides_elsewhere_are_none_in_english(text: str) -> None:
    assert find_language(text) == "English"
    assert named_sides(text) == frozenset()
    assert history_for_breast(text, "L") == history_for_breast(text, "R") == text


@pytest.mark.parametrize(
    "text",
    [
        "Nódulo mama izquierda, right breast normal",
        "Lump in left breast, rechte Brust o.B.",
        "Узел слева, right breast clear",
        "Ліва молочна залоза: вузол, справа без змін",
        "Guz w lewej piersi, rechts o.B.",
    ],
)
def test_sides_in_two_languages_or_an_unknown_one_leave_the_text_whole(text: str) -> None:
    assert history_for_breast(text, "L") == history_for_breast(text, "R") == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_row_is_sound(language: str) -> None:
    """Alternations have no empty branch, which would match anywhere, and sides are not those of the other."""
    words = LANGUAGES[language]
    for field in fields(words):
        value = getattr(words, field.name)
        if field.name in ("letters", "short") or not isinstance(value, str):
            continue
        assert not re.fullmatch(f"(?:{value})", ""), field.name
    assert words.left_letter != words.right_letter
    for word in (
        "left",
        "right",
        "links",
        "rechts",
        "слева",
        "справа",
        "बाएं",
        "दाएं",
        "izda",
        "dcha",
        "sx",
        "dx",
    ):
        sides = [bool(re.fullmatch(f"(?:{value})", word)) for value in (words.left, words.right)]
        assert sum(sides) <= 1


def test_long_texts_take_no_time() -> None:
    started = time.perf_counter()
    for words in ("mama izquierda y derecha, ", "brazo y hombro del lado ", "re. u. li. ", "МЖ слева и "):
        history_for_breast((words * 400)[:4000], "L")
    assert time.perf_counter() - started < 2
