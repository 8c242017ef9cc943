"""Counts that a result gives of its templates."""

from toy_prompts import DARK, LIGHT

from ksam.descriptions import count_used


def test_used_templates_are_counted_by_slice_and_structure():
    used = ((("a", "b"), ("a",)), (("b",), ()))
    assert count_used(used, (DARK, LIGHT)) == {"a": {"dark": 1, "light": 1}, "b": {"dark": 2}}
