"""The right templates are chosen, and impossible choices are refused."""

import pytest
import torch
from toy_prompts import ToyNetwork, toy_slice, toy_task, toy_template

from common.errors import ConfigError
from ksam.inferer import KnowledgePromptInferer
from ksam.retrieval import choose_templates, describe_embedding, score_nearest, score_position

LEVELS = {"a": -155.0, "b": -55.0, "c": 45.0}
TEMPLATES = [toy_template(name, place / 2, dark_hu=hu) for place, (name, hu) in enumerate(LEVELS.items())]


def names(templates: tuple) -> str:
    return "".join(template.id for template in templates)


def test_the_best_come_first_and_ties_keep_their_order() -> None:
    scores = {"a": 1.0, "b": 3.0, "c": 1.0}
    assert names(choose_templates(TEMPLATES, 2, lambda t: scores[t.id])) == "ba"
    assert names(choose_templates(TEMPLATES, 2, None)) == "ab"
    assert names(choose_templates(TEMPLATES, 5, lambda t: scores[t.id])) == "abc"


def test_by_position() -> None:
    assert names(choose_templates(TEMPLATES, 2, score_position(0.9))) == "cb"


def test_by_embedding() -> None:
    embeddings = {"a": [1.0, 0.0], "b": [0.6, 0.8], "c": [0.0, 1.0]}
    found = {name: torch.tensor(value) for name, value in embeddings.items()}
    target = torch.tensor([3.0, 3.5]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert names(choose_templates(TEMPLATES, 2, score_nearest(target, lambda t: found[t.id]))) == "bc"
    torch.testing.assert_close(describe_embedding(torch.full((1, 4, 2, 2), 7.0)), torch.full((4,), 0.5))


@pytest.mark.parametrize("retrieval", ["position", "round_trip"])
def test_the_inferer_takes_the_template_that_suits_the_slice(retrieval: str) -> None:
    inferer = KnowledgePromptInferer(toy_task(*TEMPLATES), retrieval, templates=1)
    for place, template in enumerate(TEMPLATES):
        image = toy_slice(LEVELS[template.id] + 4)
        prediction = inferer.predict_slice(image, ToyNetwork(), position=place / 2)
        assert prediction.templates[0] == (template.id,)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="retrieval: expected one of nearest, .*got 'best'"):
        KnowledgePromptInferer(toy_task(), retrieval="best")
    with pytest.raises(ConfigError, match="templates: expected a whole number of at least 1, got 0"):
        KnowledgePromptInferer(toy_task(), templates=0)
    with pytest.raises(ConfigError, match="average: expected probability or logit, got 'max'"):
        KnowledgePromptInferer(toy_task(), average="max")
    with pytest.raises(ConfigError, match="got none for the slice: choose retrieval 'nearest'"):
        score_position(None)(TEMPLATES[0])
    with pytest.raises(ConfigError, match="got none for template 'x'"):
        score_position(0.5)(toy_template("x"))
