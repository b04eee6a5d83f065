"""What a sweep varies: order, labels, completeness; and every mistake, named before anything is made of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradient_notebook import InvalidRequestError, session, sweep
from gradient_notebook.notebook.vary_args import filled
from gradient_notebook.simulator import Simulator
from gradient_notebook.sweeps.axes import Axes, axes_of
from gradient_notebook.sweeps.table import rows_of

PROMPT = "a {{animal}} in {{ style }}"


def cases(
    prompt: Any, how: dict[str, Any] | None = None, **given: Any
) -> list[tuple[tuple[Any, ...], str, dict[str, Any]]]:
    return [
        (tuple(case.labels.values()), case.prompt, dict(case.values))
        for case in axes_of(prompt, given, **how or {}).cases()
    ]


def test_every_combination_comes_once_the_last_axis_fastest() -> None:
    """A parameter and a word of the prompt are axes alike; a single value holds for all."""
    found = cases(PROMPT, animal=["fox", "owl"], quality=["low", "high"], style="ink", size="1024x1024")
    assert [(labels, prompt) for labels, prompt, _ in found] == [
        (("fox", "low"), "a fox in ink"),
        (("fox", "high"), "a fox in ink"),
        (("owl", "low"), "a owl in ink"),
        (("owl", "high"), "a owl in ink"),
    ]
    assert [values for *_, values in found] == [{"size": "1024x1024", "quality": q} for q in ("low", "high")] * 2


def test_a_dict_labels_its_values() -> None:
    """What is sent is the value, what it is called is the label."""
    assert cases("a {{style}}", style={"dark": "black ink", 2: "oil"}) == [
        (("dark",), "a black ink", {}),
        ((2,), "a oil", {}),
    ]


def test_pairs_take_the_first_of_all_and_then_the_second() -> None:
    """One value goes with each."""
    found = cases(PROMPT, {"pair": True, "repeat": 2}, animal=["fox", "owl"], style=["ink", "oil"], quality=["low"])
    assert [labels for labels, *_ in found] == [("fox", "ink", "low")] * 2 + [("owl", "oil", "low")] * 2


def test_prompts_are_an_axis_too() -> None:
    """A list, or a dict with labels."""
    assert [labels for labels, *_ in cases(["a fox", "an owl"], quality=["low"])] == [
        ("a fox", "low"),
        ("an owl", "low"),
    ]
    assert [labels for labels, *_ in cases({"x": "a {{b}}", "y": "the {{b}}"}, b=["c"])] == [("x", "c"), ("y", "c")]


@pytest.mark.parametrize("values", [range(2), (0, 1), np.arange(2), pd.Series([0, 1]), iter([0, 1])])
def test_whatever_holds_values_in_order_is_an_axis(values: Any) -> None:
    """Their values are plain ones."""
    found = axes_of("{{i}}", {"i": values})
    assert found.labels == {"i": (0, 1)}
    assert json.dumps(found.as_json())


def test_what_a_value_holds_is_data() -> None:
    """It is not looked at again."""
    assert cases("{{a}}", a=["{{b}}"]) == [(("{{b}}",), "{{b}}", {})]


def test_a_table_with_two_columns_of_one_name_is_refused() -> None:
    """It is not said which of them is meant."""
    with pytest.raises(InvalidRequestError, match=r"(?s)The table cannot be read: .*'a' 2 times"):
        rows_of(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_table_gives_rows_and_what_its_columns_say() -> None:
    """A parameter that is missing is not given; other axes multiply the rows."""
    table = pd.DataFrame({"animal": ["fox", "fox"], "q": ["low", None], "count": [1, 2]})
    found = cases("{{animal}} {{count}}", {"rows": rows_of(table), "columns": {"quality": "q"}}, size=["1024x1024"])
    assert found == [
        ((0, "1024x1024"), "fox 1", {"quality": "low", "size": "1024x1024"}),
        ((1, "1024x1024"), "fox 2", {"size": "1024x1024"}),
    ]


def test_what_varies_can_be_kept() -> None:
    """As JSON, and read again: a run in the ledger is continued by whoever finds it."""
    found = axes_of(PROMPT, {"animal": ["fox", "owl"], "style": {"i": "ink"}, "quality": "low"}, repeat=2)
    again = Axes.of_json(json.loads(json.dumps(found.as_json())))
    assert list(again.cases()) == list(found.cases())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a word that no prompt has": ({"animl": ["fox"]}, r"animl: .*Did you mean animal"),
    "a word without values": ({"animal": ["fox"]}, r"\{\{style\}\} in the prompt has no axis"),
    "an empty axis": ({"animal": []}, "animal has no values"),
    "a set": ({"animal": {"fox", "owl"}}, "a set has no order"),
    "the same twice": ({"animal": ["fox", "fox"]}, "animal has 'fox' twice"),
    "n": ({"n": [1, 2]}, "n can't be an axis.*repeat=3"),
    "the prompt by name": ({"prompt": ["a"]}, "prompt can't be an axis"),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named(given: dict[str, Any], words: str) -> None:
    """With what is known, and what to do."""
    with pytest.raises(InvalidRequestError, match=f"(?s){words}") as caught:
        axes_of(PROMPT, given)
    assert caught.value.sent is False


def test_a_word_that_is_an_argument_is_refused() -> None:
    """Nobody would know which of the two an axis of that name is."""
    for name in ("quality", "repeat", "row"):
        with pytest.raises(InvalidRequestError, match=f"{name}.* is the name of an argument"):
            axes_of(f"a {{{{{name}}}}}", {})


def test_pairs_have_one_length() -> None:
    """The lengths are told."""
    with pytest.raises(InvalidRequestError, match="animal has 2, style has 3"):
        axes_of(PROMPT, {"animal": ["fox", "owl"], "style": ["a", "b", "c"]}, pair=True)


TABLE = pd.DataFrame({"animal": ["fox", None, "owl"], "q": ["low", "high", "low"]})
WRONG_TABLES: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a missing word": ((TABLE, "a {{animal}}"), {}, "Row 1 has no animal"),
    "no such column": ((TABLE, "a {{animel}}"), {}, "Did you mean animal"),
    "no such column of a parameter": ((TABLE, "a"), {"columns": {"quality": "qq"}}, "'qq'.*no such column"),
    "no such parameter": ((TABLE, "a"), {"columns": {"qualty": "q"}}, "no such parameter.*Did you mean quality"),
    "twice": ((TABLE, "a"), {"columns": {"quality": "q"}, "quality": "low"}, "given twice"),
    "no prompt": ((TABLE,), {}, "A table needs a prompt"),
    "no table": (({"a": 1}, "a"), {}, "is no table"),
    "no rows": ((TABLE[:0], "a {{animal}}"), {}, "no rows"),
    "columns alone": (("a",), {"columns": {"quality": "q"}}, "needs a table"),
    "ten million": (("{{a}}{{b}}",), {"a": range(5000), "b": range(2000)}, "10,000,000 images"),
    "ten million, agreed to": (("{{a}}{{b}}",), {"a": range(5000), "b": range(2000), "yes": True}, "at most 1,000,000"),
    "repeat": (("a",), {"repeat": 0}, "repeat=0"),
    "max_images": (("a",), {"max_images": "many"}, "max_images='many'"),
    "a wrong value": (("a {{b}}",), {"b": ["c"], "quality": ["low", "hihg"]}, "cell 1: b='c', quality='hihg'"),
    "too many": (("{{a}}",), {"a": range(51)}, "51 images.*yes=True.*51 images to make"),
}


@pytest.mark.parametrize(("given", "how", "words"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_nothing_is_sent_where_something_is_wrong(
    configured: Simulator, given: tuple[Any, ...], how: dict[str, Any], words: str
) -> None:
    """Ten thousand rows or ten million cells are refused as quickly as one."""
    with pytest.raises(InvalidRequestError, match=f"(?s){words}"):
        sweep(*given, **how)
    assert configured.posts == []


def test_the_session_has_the_model() -> None:
    """As for every request from Python."""
    session.model = "openai-gpt-image-2"
    assert sweep("a", start=False)[0].params.model == "openai-gpt-image-2"


@pytest.mark.parametrize("value", ["a ship", "", "{", "{{style}}", "}} {{"])
def test_what_a_cell_inserts_is_data_and_has_no_name_in_the_prompt_that_is_kept(value: str) -> None:
    """Only what would be looked at again, for its braces, is kept apart; what is read and sent is the same."""
    template, words = filled("{ {{place}}}, {{style}}", ["style"], {"place": value}, raw=False)
    assert bool(words) is bool({"{", "}"} & set(value))
    axes = axes_of(template, {"style": ["ink"], **words})
    assert axes.templates == [f"{{ {value}}}, {{{{style}}}}"]
    assert [case.prompt for case in axes.cases()] == [f"{{ {value}}}, ink"]
