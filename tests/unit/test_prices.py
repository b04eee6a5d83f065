"""Prices and costs: which price a model has, what is wrong with one, and that what is unknown stays so in every sum."""

from __future__ import annotations

import os
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import Cost, session
from gradient_notebook.api.events import InputTokensDetails, Usage
from gradient_notebook.api.params import ImageGenerateParams
from gradient_notebook.money.currency import in_words
from gradient_notebook.money.prices import read_prices
from gradient_notebook.notebook import formatting

TOKENS = {"input_text_tokens": 5, "output_image_tokens": 40}
FILE = """\
currency = "€"
source = "the class of 2026"
date = 2026-11-01

["gpt-image-1"]
input_text_tokens = 5
output_image_tokens = 40.5  # per million

["gpt-image-2"]
per_image = 0.05
"""


def priced(model: str) -> str:
    """Return the name of the price that a model has."""
    price = session.price_of(model)
    return price.models if price else ""


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai-gpt-image-1", "gpt-image-1"),
        ("gpt-image-1", "gpt-image-1"),
        ("gpt-image-1-2025-04-23", "gpt-image-1"),
        ("openai-gpt-image-1.5", "*"),
        ("openai-gpt-image-1-mini", "*"),
        ("openai-gpt-image-2", "openai-gpt-image-2"),
        ("flux-pro", "flux*"),
        ("flux-pro-ultra", "flux-pro-ultra"),
        ("stable-diffusion", "*"),
    ],
)
def test_the_longest_name_that_fits_a_model_counts(model: str, name: str) -> None:
    """Its id, with the provider's prefix or without, its family, or what ends in `*`: a name's beginning alone is another model."""
    names = ("gpt-image-1", "gpt-image-2", "openai-gpt-image-2", "flux*", "flux-pro-ultra", "*")
    gn.configure(prices=dict.fromkeys(names, TOKENS))
    assert priced(model) == name


def test_prices_without_a_model_hold_for_all() -> None:
    """Two numbers are enough; without any, nothing has a price."""
    assert priced("openai-gpt-image-1") == ""
    gn.configure(prices=TOKENS)
    assert priced("openai-gpt-image-1") == priced("anything") == "*"
    assert session.price_of("anything").of_tokens(1056, 1000) == Decimal("0.04724")


def test_a_file_is_read_with_its_source_and_date(tmp_path: Path) -> None:
    """A price says who set it and when, whatever the session's currency is."""
    (tmp_path / "prices.toml").write_text(FILE, encoding="utf-8-sig")
    gn.configure(prices="prices.toml", currency="$")
    told = "gpt-image-1: €5.00 per million input text tokens, €40.50 per million output image tokens"
    assert str(session.price_of("gpt-image-1")) == f"{told} (the class of 2026, 2026-11-01)"
    assert str(session.price_of("gpt-image-2")) == "gpt-image-2: €0.05 per image (the class of 2026, 2026-11-01)"
    assert session.money() == "€"
    pickle.loads(pickle.dumps(session.prices))


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a source and a date of its own, a file's name and its day stand for them."""
    path = tmp_path / "team.toml"
    path.write_text("per_image = 0.04", encoding="utf-8")
    os.utime(path, (0, 86_400 * 365.25 * 30))
    monkeypatch.setenv("GRADIENT_IMAGE_PRICES", str(path))
    session.reset()
    assert str(session.price_of("any")) == "all models: $0.04 per image (team.toml, 2000-01-01)"
    monkeypatch.setenv("GRADIENT_IMAGE_PRICES", str(tmp_path / "away.toml"))
    with pytest.raises(gn.InvalidSettingsError, match=r"No such file or directory \(from GRADIENT_IMAGE_PRICES"):
        session.reset()


@pytest.mark.parametrize(
    ("look", "price"),
    [
        ({"quality": "high", "size": "1024x1024"}, "0.17"),
        ({"quality": "high", "size": "1536x1024"}, "0.3"),
        ({"quality": "low", "size": "1536x1024"}, "0.01"),
        ({"quality": "medium", "size": "1536x1024"}, "0.1"),
        ({"quality": "medium", "size": "1024x1024"}, "0.2"),
    ],
)
def test_an_image_has_the_price_of_its_look(look: dict[str, str], price: str) -> None:
    """Quality and size together, then quality, then size, then any."""
    by_look = {"high 1024x1024": 0.17, "high": 0.3, "low": 0.01, "1536x1024": 0.1, "*": 0.2}
    gn.configure(prices={"per_image": by_look})
    found = session.price_of("gpt-image-1").bounds(ImageGenerateParams(prompt="a", n=2, **look))
    assert found == (2 * Decimal(price), 2 * Decimal(price))


def test_where_the_service_chooses_the_least_and_the_most_are_known_or_nothing_is() -> None:
    """A look without a price makes the most unknown: the service may choose that one."""
    params = ImageGenerateParams(prompt="a", size="1024x1024", model="gpt-image-1")
    gn.configure(prices={"per_image": {"low": 0.01, "medium": 0.04, "high": 0.17}})
    assert session.price_of("gpt-image-1").bounds(params) == (Decimal("0.01"), Decimal("0.17"))
    gn.configure(prices={"per_image": {"low": 0.01, "high": 0.17}})
    assert session.price_of("gpt-image-1").bounds(params) is None


WRONG: list[tuple[Any, str]] = [
    (5, "prices=5: expected a mapping"),
    ("", "prices='': expected a mapping"),
    ({}, "prices: it has no price"),
    ({"gpt-image-1": 5}, "prices: gpt-image-1=5: expected the prices of a model"),
    (
        {"gpt-image-1": {"input_text_tokens": "5", "output_image_tokens": 40}},
        "prices, gpt-image-1: input_text_tokens='5'",
    ),
    ({"input_text_tokens": -5, "output_image_tokens": 40}, "prices, *: input_text_tokens=-5: expected a number, 0 to"),
    ({"input_text_tokens": float("nan"), "output_image_tokens": 40}, "prices, *: input_text_tokens=nan"),
    ({"input_text_tokens": True, "output_image_tokens": 40}, "prices, *: input_text_tokens=True"),
    ({"per_image": 10**9}, "prices, *: per_image=1000000000: expected a number, 0 to 10,000,000"),
    ({"input_text_tokens": 5}, "prices, *: output_image_tokens is missing"),
    ({**TOKENS, "per_image": 1}, "prices, *: expected prices of tokens, or per image"),
    ({"x": {"per_imag": 1}}, "prices, x: per_imag: no such price\nDid you mean per_image?"),
    ({"per_image": {"high, big": 1}}, "prices, *: per_image: 'high, big': expected a quality, a size, or both"),
    ({"per_image": {}}, "prices, *: per_image is empty"),
    ({"per_image": {"hihg": 1}}, "prices, *: per_image: 'hihg': no such quality or size\nDid you mean high?"),
    ({"per_image": {"High": 1}}, "prices, *: per_image: 'High': no such quality or size\nDid you mean high?"),
    (
        {"per_image": {"high 800X600": 1}},
        "prices, *: per_image: 'high 800X600': no such quality or size\nDid you mean high 800x600?",
    ),
    ({"currency": "dollars", **TOKENS}, "prices: currency='dollars': expected a sign"),
    ({7: TOKENS}, "prices: 7: expected a model's ID"),
]


@pytest.mark.parametrize(("value", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_price_that_makes_no_sense_is_refused(value: Any, words: str) -> None:
    """Named with its value, and nothing changes."""
    gn.configure(prices=TOKENS)
    before = session.prices
    with pytest.raises(gn.InvalidSettingsError) as caught:
        session.prices = value
    assert str(caught.value).startswith(words)
    assert caught.value.hint
    assert session.prices is before


MISTAKES = [
    ("output_image_tokens = 40.5", "output_image_tokens = -1", "line 7: output_image_tokens=-1: expected"),
    ("output_image_tokens = 40.5", 'output_image_tokens = "40"', "line 7: output_image_tokens='40'"),
    ("per_image = 0.05", "per_imag = 0.05", "line 10: per_imag: no such price"),
    ("per_image = 0.05", "", "line 9: expected prices of tokens, or per image"),
    ('currency = "€"', 'currency = "X"', "line 1: currency='X': expected a sign"),
    ('["gpt-image-2"]', "[gpt-image-2.5]", 'Quote a name that has a dot: ["gpt-image-2.5"]'),
    ('["gpt-image-2"]', '["gpt-image-2"', "(at line 9, column 15)"),
]


@pytest.mark.parametrize(("right", "wrong", "words"), MISTAKES, ids=[wrong for _, wrong, _ in MISTAKES])
def test_a_mistake_in_a_file_is_named_with_its_line(right: str, wrong: str, words: str, tmp_path: Path) -> None:
    """Also one that is no mistake of TOML's."""
    (tmp_path / "prices.toml").write_text(FILE.replace(right, wrong), encoding="utf-8")
    with pytest.raises(gn.InvalidSettingsError) as caught:
        read_prices("prices.toml")
    assert words in str(caught.value)
    assert str(tmp_path / "prices.toml") in str(caught.value)


@pytest.mark.parametrize(("currency", "words"), [("dollars", ""), ("usd", "Did you mean USD?"), (5, ""), ("<b>", "")])
def test_a_currency_that_nobody_knows_is_refused(currency: Any, words: str) -> None:
    """A sign, or a code as the standard has it."""
    with pytest.raises(gn.InvalidSettingsError, match=r"^currency=.*: expected a sign, such as \$") as caught:
        gn.configure(currency=currency)
    assert words in str(caught.value)


def test_the_old_names_say_what_took_their_place() -> None:
    """Whoever has set two numbers is told the one setting."""
    with pytest.raises(
        gn.InvalidSettingsError, match="price_output_image_tokens: no such setting\nSet prices: prices="
    ):
        gn.configure(price_output_image_tokens=40)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(output_tokens=1056, input_tokens=10), "0.04229"),
        (
            Usage(output_tokens=1056, input_tokens=30, input_tokens_details=InputTokensDetails(text_tokens=10)),
            "0.04229",
        ),
        (Usage(output_tokens=1056), None),
        (Usage(input_tokens=10), None),
        (None, None),
    ],
)
def test_half_a_usage_has_no_cost(usage: Usage | None, cost: str | None) -> None:
    """What is known of it would look like all of it."""
    gn.configure(prices=TOKENS)
    assert session.price_of("x").of_usage(usage) == (cost and Decimal(cost))


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        ("1.2", "$", "$1.20"),
        ("0", "€", "€0.00"),
        ("0.0042", "$", "$0.0042"),
        ("0.00002", "$", "under $0.0001"),
        ("1204.5", "CHF", "CHF 1,204.50"),
        ("0.5", "$ simulated", "$0.50 simulated"),
    ],
)
def test_an_amount_in_words(amount: str, currency: str, words: str) -> None:
    """As people write it; small ones keep two digits."""
    assert in_words(Decimal(amount), currency) == words


def test_what_is_unknown_stays_so_in_every_sum() -> None:
    """And currencies are not added up."""
    dollars, euros = Cost.of(Decimal("0.1"), "$"), Cost.of(Decimal(2), "€")
    assert f"{sum([dollars] * 12)}" == "$1.20"
    assert f"{sum([dollars] * 12) + Cost(unknown=3)}" == "$1.20 and 3 images of unknown cost"
    assert f"{dollars + Cost(unknown=1) + euros}" == "$0.10 and €2.00 and 1 image of unknown cost"
    assert (dollars + euros).amount is (dollars + euros).currency is None
    assert (f"{Cost()}", f"{Cost(unknown=1)}", Cost().amount) == ("nothing", "1 image of unknown cost", 0)
    assert dollars + euros == euros + dollars
    assert hash(dollars + euros) == hash(euros + dollars)
    assert pickle.loads(pickle.dumps(dollars)) == dollars


@pytest.mark.parametrize(
    ("prices", "asked", "words"),
    [
        (None, {}, "2 images, about 2,112 output tokens"),
        (TOKENS, {}, "2 images, about 2,112 output tokens, $0.08, at all models: $5.00"),
        (TOKENS, {"quality": None}, "2 images, about 544 to 8,320 output tokens, $0.02 to $0.33, at"),
        (TOKENS, {"model": "other"}, "2 images, an unknown number of output tokens, cost unknown, at"),
        ({"per_image": 0.04}, {"model": "other"}, "2 images, an unknown number of output tokens, $0.08, at"),
    ],
)
def test_an_estimate_has_tokens_and_money(prices: Any, asked: dict[str, Any], words: str) -> None:
    """Without a price no money, and never a guess."""
    given = {"prompt": "a", "model": "gpt-image-1", "n": 2, "size": "1024x1024", "quality": "medium"}
    gn.configure(prices=prices)
    params = ImageGenerateParams.of({**given, **asked})
    assert formatting.estimate(params, session.price_of(params.model)).startswith(words)
