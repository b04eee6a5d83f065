"""Endpoints and keys as people write them: what is meant works, what is not says why, and no key is shown."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import gradient_notebook as gn
from gradient_notebook import connect
from gradient_notebook.api.credentials import Key, refuse_key_in
from gradient_notebook.api.settings import Settings
from gradient_notebook.connect import discover
from gradient_notebook.notebook.cell_run import CellRun
from gradient_notebook.notebook.magic_args import parse
from gradient_notebook.simulator import Simulator

KEY = "sk-do-secretsecret"
OTHER = "sk-do-othersecret"


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_remembered", None)


# Endpoints.

ENDINGS = ["", "/", "//", "/v1", "/v1/", "/V1", "/v1//", "//v1", "/v1/v1", "/v1/images", "/v1/images/generations"]
ENDINGS += ["/v1/images/generations/", "/V1/Images/Generations", "/v1/models", "/v1/models/", "/v1/chat/completions"]
ENDINGS += ["/v1/images/edits", "/v1/embeddings"]
AROUND = ["{}", " {}", "{}\n", "\r\n{}\r\n", "\t{}\u00a0", "\ufeff{}", "{}\u200b", "{}\x00"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("around", AROUND)
def test_an_endpoint_is_taken_as_it_is_meant(ending: str, around: str) -> None:
    """White space, final slashes and the documented paths come along when it is copied."""
    written = around.format(f"https://own.example/base{ending}")
    found = Settings(endpoint=written, key=KEY)  # type: ignore[arg-type]
    assert found.endpoint == found.replace(max_retries=1).endpoint == "https://own.example/base"


@pytest.mark.parametrize("path", ["/v10", "/apiv1", "/v1/account/gateway", "/v1.1", "/models", "/v1/images/edits/x"])
def test_another_path_is_left_alone(path: str) -> None:
    """A gateway may have its own."""
    assert Settings(endpoint=f"https://own.example{path}", key=KEY).endpoint == f"https://own.example{path}"  # type: ignore[arg-type]


REFUSED = {
    "https://h?": "a query or a fragment",
    "https://h/v1?api-version=1": "a query or a fragment",
    "https://h/#": "a query or a fragment",
    "https://h/?api_key=hunter2": "a query or a fragment",
    "https://@h": "a user name or a password",
    "https://user:hunter2@h/v1": "a user name or a password",
    "http://127.0.0.1\\@h": "a user name or a password",
    "http://[::1]%25.evil": "its host contains %",
    "http://[fe80::1%25eth0]:80": "its host contains %",
    "https://h%2ehost": "its host contains %",
    '"https://h"': "quotation marks",
    "\u201chttps://h\u201d": "quotation marks",
    "GRADIENT_INFERENCE_ENDPOINT=https://h": "a name before it",
    "export X=https://h": "a name before it",
    "https://ho st": "white space",
    "https://h\n/v1": "white space",
    "https://h\x07": "white space",
    "https://h\u202e": "white space",
    "h.example/v1": "expected https://host",
    "ftp://h": "expected https://host",
    "https:/h": "expected https://host",
    "https://": "expected https://host",
    "https://:443": "expected https://host",
    "https://h:0": "expected https://host",
    "https://h:70000": "expected https://host",
    "https://h:": "expected https://host",
    "https://a..b": "expected https://host",
    f"https://{'a' * 64}.example": "expected https://host",
    "https://[::1": "expected https://host",
    "https://[zz]": "expected https://host",
    "https://h\\x": "expected https://host",
    "https://*": "expected https://host",
    "https://\u2100.example": "expected https://host",
    "http://own.example": "http would expose the key",
    "http://localhost.": "http would expose the key",
}


@pytest.mark.parametrize("endpoint", REFUSED)
def test_what_is_no_endpoint_is_refused_with_the_reason(endpoint: str) -> None:
    """It names the thing, where it came from and what to do; what may be secret is not shown."""
    with pytest.raises(gn.InvalidSettingsError, match=REFUSED[endpoint]) as caught:
        Settings(endpoint=endpoint, key=KEY)  # type: ignore[arg-type]
    assert str(caught.value).startswith("endpoint=")
    assert " from argument: " in str(caught.value)
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def _from_environment(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Settings:
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", endpoint)
    return discover()


def _from_dotenv(_: pytest.MonkeyPatch, endpoint: str) -> Settings:
    pytest.importorskip("dotenv")
    written = endpoint.replace("\n", "\\n")
    Path(".env").write_text(f'MODEL_ACCESS_KEY={KEY}\nGRADIENT_INFERENCE_ENDPOINT="{written}"\n')
    return discover()


FROM: dict[str, Callable[[pytest.MonkeyPatch, str], Settings]] = {
    "environment": _from_environment,
    ".env": _from_dotenv,
    "Client": lambda _, endpoint: gn.Client(base_url=endpoint).settings,
    "AsyncClient": lambda _, endpoint: gn.AsyncClient(inference_endpoint=endpoint).settings,
    "discover": lambda _, endpoint: discover(endpoint=endpoint),
}


@pytest.mark.parametrize("place", FROM)
def test_an_endpoint_is_the_same_wherever_it_comes_from(
    service: Simulator, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """And a request gets there."""
    if place != ".env":
        monkeypatch.setenv("MODEL_ACCESS_KEY", KEY)
    settings = FROM[place](monkeypatch, f"{service.url}/v1/\n")
    assert settings.endpoint == service.url
    gn.generate("hills", quality="low", settings=settings)  # type: ignore[arg-type]
    with pytest.raises(gn.InvalidSettingsError, match="a query or a fragment"):
        FROM[place](monkeypatch, f"{service.url}/v1?x=1")


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """A name without a value stands in many a file of settings."""
    for name in ("GRADIENT_INFERENCE_ENDPOINT", "GRADIENT_MODEL_ACCESS_KEY"):
        monkeypatch.setenv(name, blank)
    monkeypatch.setenv("MODEL_ACCESS_KEY", KEY)
    assert (discover().endpoint_source, discover().key_source) == ("default", "MODEL_ACCESS_KEY")


@pytest.mark.parametrize("name", ["endpoint", "base_url", "key", "api_key"])
def test_what_the_session_does_not_hold_says_where_it_belongs(name: str) -> None:
    """Without the value, which may be the key."""
    with pytest.raises(
        gn.InvalidSettingsError, match=r"no such setting\nSet GRADIENT_\w+ in the environment"
    ) as caught:
        gn.configure(**{name: KEY})
    assert KEY not in str(caught.value)
    with pytest.raises(gn.InvalidSettingsError) as caught:
        gn.configure(modl=KEY)
    assert KEY not in str(caught.value)


# Keys.

WRONG = {
    f'"{KEY}"': "quotation marks",
    f"'{KEY}'": "quotation marks",
    f"`{KEY}`": "quotation marks",
    f"\u201c{KEY}\u201d": "quotation marks",
    f"\u2018{KEY}\u2019": "quotation marks",
    f"\u00ab{KEY}\u00bb": "quotation marks",
    f'"{KEY}': "quotation marks",
    f"GRADIENT_MODEL_ACCESS_KEY={KEY}": "a name before it",
    f"export MODEL_ACCESS_KEY={KEY}": "a name before it",
    f"MODEL_ACCESS_KEY = '{KEY}'": "quotation marks and a name before it",
    f"whatever={KEY}": "a name before it",
    f"$env:MODEL_ACCESS_KEY={KEY}": "a name before it",
    f"Bearer {KEY}": "`Bearer` before it",
    f"bearer:{KEY}": "`Bearer` before it",
    f"Authorization: Bearer {KEY}": "`Bearer` before it",
    f"x-api-key: {KEY}": "the name of a header before it",
    f"{KEY}\n{OTHER}": "more than one key in it",
    f"{KEY},{OTHER}": "more than one key in it",
    f"{KEY[:9]}\r\n{KEY[9:]}": "a line break in it",
    f"{KEY[:9]} {KEY[9:]}": "spaces in it",
    f"{KEY[:9]}\u200b{KEY[9:]}": "spaces in it",
    f"<{KEY}>": "something before it",
    f"https://host/{KEY}": "something before it",
    f"{KEY},": "characters that no key has",
    f"{KEY}\\n": "characters that no key has",
    KEY.replace("-", "\u2013"): "characters that no key has",
    f"{KEY}\u00e9": "characters that no key has",
}
SECRET = KEY.removeprefix("sk-do-")


@pytest.mark.parametrize("written", WRONG)
def test_a_key_that_is_written_wrongly_is_refused_before_sending(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, written: str
) -> None:
    """With the reason; it stands in no message, repr, log or traceback with its locals, and in no file."""
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", written)
    with caplog.at_level(logging.DEBUG), pytest.raises(gn.InvalidSettingsError, match=WRONG[written]) as caught:
        gn.generate("a red otter", quality="low")
    assert str(caught.value).startswith("The key from GRADIENT_MODEL_ACCESS_KEY ")
    said = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    said.stack[:1] = []  # the test's own frame, which has it
    found = connect.find_key().key
    assert found
    logged = "".join(f"{vars(record)!r} {record.getMessage()}" for record in caplog.records)
    held = f"{found!r} {found._reveal!r} {found._bare!r}"
    everything = f"{caught.value!r} {''.join(said.format())} {held} {logged}"
    assert "gradient_notebook/jobs/submit.py" in everything
    assert SECRET not in everything
    assert configured.posts == []
    assert [path for path in Path().rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("written", WRONG)
def test_a_prompt_that_holds_the_bare_key_is_refused(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """What was set may be more than the key: the key in it is known all the same, and a dry run does not print it."""
    if "\u2013" not in written:
        with pytest.raises(gn.InvalidRequestError, match="prompt contains your model access key"):
            refuse_key_in({"prompt": f"a cat {KEY}!"}, Key(written, "test"))
        assert KEY not in Key(written, "test").hidden_in(f"no such key: {KEY}.")
    monkeypatch.setenv("GRADIENT_MODEL_ACCESS_KEY", written)
    with pytest.raises(gn.InvalidRequestError, match="prompt contains your model access key"):
        CellRun(None, parse("--dry-run"), f"a cat {KEY}", {})  # type: ignore[arg-type]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("key", [KEY, "dop_v1_c0ffeec0ffee", "doo_v1_c0ffeec0ffee", "none", "a=b", "my-own+key/1=="])
def test_a_key_is_sent_as_it_is(configured: Simulator, key: str, around: str) -> None:
    """Model access keys, personal access tokens, and whatever a server of one's own takes; white space is stripped."""
    gn.Client(model_access_key=around.format(key)).models.list()
    assert discover(key=around.format(key)).key.reveal() == key


@pytest.mark.parametrize(
    "token",
    ["dor_v1_c0ffee", "<your key>", "$MODEL_ACCESS_KEY", "${KEY}", "%KEY%", "********", "", "sk-do-...", "sk-do-xxxx"],
)
def test_what_is_no_key_is_refused(configured: Simulator, token: str) -> None:
    """A refresh token, a placeholder, nothing."""
    with pytest.raises(gn.InvalidSettingsError, match=r"The key \(argument\)"):
        gn.Client(model_access_key=token)


@pytest.mark.parametrize("word", ["None", "null", "your-key-here", "YOUR_API_KEY", "sk-do-your-key", "api_key"])
def test_a_word_that_stands_for_a_key_is_none_of_the_service(word: str) -> None:
    """Nothing is sent there; a server of one's own may take any word."""
    with pytest.raises(gn.InvalidSettingsError, match=r"The key \(argument\) is a placeholder"):
        Settings(endpoint=connect.DEFAULT_ENDPOINT, key=word)  # type: ignore[arg-type]
    assert Settings(endpoint="https://own.example", key=word).key.reveal() == word  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["dop_v1_c0ffeec0ffee", "doo_v1_c0ffeec0ffee"])
def test_a_token_is_sent_and_a_401_says_what_it_needs(configured: Simulator, token: str) -> None:
    """Full access, or a model access key in its place."""
    client = gn.Client(model_access_key=token)
    assert client.images.generate(prompt="hills", quality="low").data
    assert configured.posts[0].headers["authorization"] == f"Bearer {token}"
    configured.script([{"status": 401, "body": {"id": "unauthorized", "message": "No."}}] * 2)
    with pytest.raises(gn.AuthenticationError, match="token needs full access; or use a model access key") as caught:
        client.images.generate(prompt="hills")
    assert token not in str(caught.value)
    with pytest.raises(gn.AuthenticationError) as caught:
        gn.Client(model_access_key=KEY).images.generate(prompt="hills")
    assert "full access" not in str(caught.value)


# `.env`.


@pytest.mark.parametrize(
    "written",
    [
        b"GRADIENT_MODEL_ACCESS_KEY=%s\r\n",
        b"\xef\xbb\xbfGRADIENT_MODEL_ACCESS_KEY=%s\r\n",
        b"\xef\xbb\xbf# mine\r\n\r\nexport MODEL_ACCESS_KEY=%s",
        b'MODEL_ACCESS_KEY="%s"\n',
        b"MODEL_ACCESS_KEY = '%s'  # mine\n",
        b"A=1\nMODEL_ACCESS_KEY=%s # mine\nB='x\ny'\n",
        b"#MODEL_ACCESS_KEY=old\nGRADIENT_MODEL_ACCESS_KEY=\nMODEL_ACCESS_KEY=%s",
    ],
)
def test_a_dotenv_file_is_read_as_others_read_it(tmp_path: Path, written: bytes) -> None:
    """Line ends and byte order mark of Windows, `export`, quotes, comments."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_bytes(written % KEY.encode())
    assert discover().key.reveal() == KEY
    assert discover().key_source.endswith(" in .env")


@pytest.mark.parametrize(
    "line", ['MODEL_ACCESS_KEY="%s', "MODEL_ACCESS_KEY: %s", "MODEL_ACCESS_KEY %s", "set MODEL_ACCESS_KEY %s"]
)
def test_a_line_that_is_lost_is_named(tmp_path: Path, line: str) -> None:
    """Otherwise the simulator would be used without a word of why."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text(f"A=1\n{line % KEY}\n")
    with pytest.raises(gn.InvalidSettingsError, match=r"\.env cannot be read: line 2 has no name=value") as caught:
        discover()
    assert SECRET not in f"{caught.value!r} {caught.value.__context__}"


def test_a_key_in_typographic_quotes_in_a_dotenv_file_is_refused(tmp_path: Path) -> None:
    """They are part of the value, there as anywhere."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text(f"MODEL_ACCESS_KEY=\u201c{KEY}\u201d\n", encoding="utf-8")
    with pytest.raises(gn.InvalidSettingsError, match=r"from MODEL_ACCESS_KEY in \.env has quotation marks"):
        discover()
