"""Currencies, and amounts in words."""

from __future__ import annotations

from decimal import Decimal

from ..api.errors import InvalidSettingsError

SIGNS = (
    "$",
    "€",
    "£",
    "¥",
    "₹",
    "₩",
    "₽",
    "₺",
    "₫",
    "₱",
    "₦",
    "₴",
    "₪",
    "₸",
    "R$",
    "C$",
    "A$",
    "NZ$",
    "HK$",
    "S$",
    "zł",
    "kr",
    "Kč",
)
"""Signs that stand for a currency; other currencies go by their codes."""
_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
    "CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ "
    "GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR "
    "LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN "
    "PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS "
    "TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
"""ISO 4217."""
CODES = frozenset(_CODES.split())
EXPECTED = "a sign, such as $, € or £, or a code of three letters, such as USD or CHF"

SIMULATED = " simulated"
"""Follows the currency of what the built-in simulator made: it is counted, but never together with money."""
_SMALLEST = Decimal("0.0001")
_CENT = Decimal("0.01")


def checked_currency(value: object) -> str:
    """Return a currency, or raise InvalidSettingsError where nobody knows it."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and (text in SIGNS or text in CODES):
        return text
    hint = (
        f"Did you mean {text.upper()}?" if isinstance(text, str) and text.upper() in CODES else "Example: currency='$'."
    )
    raise InvalidSettingsError(f"currency={value!r:.60}: expected {EXPECTED}", hint, param="currency")


def in_words(amount: Decimal, currency: str) -> str:
    """Return an amount as people read it, as `$0.04` or `CHF 1,204.50`."""
    if currency.endswith(SIMULATED):
        return f"{in_words(amount, currency.removesuffix(SIMULATED))}{SIMULATED}"
    before = f"{currency} " if currency[-1:].isalpha() else currency
    if 0 < amount < _SMALLEST:
        return f"under {before}{_SMALLEST}"
    # Of less than a cent the first two digits: an image of a small model may cost no more.
    return f"{before}{amount:,.2f}" if amount >= _CENT or not amount else f"{before}{float(amount):.2g}"
