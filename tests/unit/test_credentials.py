"""Keys: where they come from, and that they stand nowhere else."""

from __future__ import annotations

import base64
import copy
import dataclasses
import io
import logging
import pickle
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import gradient_notebook as gn
from gradient_notebook import connect
from gradient_notebook.api import error_responses, settings
from gradient_notebook.api.credentials import Key, refuse_key_in
from gradient_notebook.api.error_words import describe
from gradient_notebook.api.events import LONGEST_NAME, LONGEST_PROMPT
from gradient_notebook.api.settings import Settings
from gradient_notebook.connect import discover, without_key
from gradient_notebook.notebook import login as login_module
from gradient_notebook.notebook.login import LOGIN, login
from gradient_notebook.simulator import Simulator

KEY = "sk-do-for-these-tests-only"
OTHER = "sk-do-another-one"
ADDRESS = "https://own.example"


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(connect, "_remembered", None)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(error: BaseException) -> str:
    """Return all that a report can show of an error: its words and arguments, and the locals of our frames."""
    frames = [frame for link in causes(error) for frame, _ in traceback.walk_tb(link.__traceback__)]
    ours = [frame for frame in frames if str(frame.f_globals.get("__name__")).startswith("gradient_notebook")]
    assert ours
    said = [f"{link} {link.args!r} {vars(link)!r}" for link in causes(error)]
    return "\n".join([*said, *(repr(frame.f_locals) for frame in ours)])


WAYS: dict[str, Callable[[Any, str | None], Any]] = {
    "Client": lambda key, endpoint: gn.Client(model_access_key=key, inference_endpoint=endpoint),
    "Client, SDK": lambda key, endpoint: gn.Client(access_token=key, inference_endpoint=endpoint),
    "AsyncClient": lambda key, endpoint: gn.AsyncClient(model_access_key=key, inference_endpoint=endpoint),
    "AsyncClient, SDK": lambda key, endpoint: gn.AsyncClient(access_token=key, inference_endpoint=endpoint),
    "discover": lambda key, endpoint: discover(key=key, endpoint=endpoint),
    "Settings": lambda key, endpoint: Settings(key=key, endpoint=endpoint or ADDRESS),
}
WRONG: dict[str, tuple[Any, str | None]] = {
    "refresh token": ("dor_v1_" + KEY, None),
    "foreign character": (KEY + "\u00e9", None),
    "bytes": (KEY.encode(), None),
    "list": ([KEY], None),
    "no endpoint": (KEY, "nonsense"),
    "not encrypted": (KEY, "http://host"),
    "a key for an endpoint": (KEY, KEY),
    "a key in an endpoint": (KEY, f"https://user:{KEY}@host:port"),
}


# `Settings` refuses; the other ways have frames of their own, before and after the key is wrapped.
@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        *[("Settings", wrong) for wrong in WRONG],
        *[(way, wrong) for way in WAYS if way != "Settings" for wrong in ("foreign character", "a key in an endpoint")],
    ],
)
def test_a_key_that_is_refused_stands_in_no_message_and_no_frame(way: str, wrong: str) -> None:
    """Whatever is wrong with a key or an endpoint, a traceback with its locals shows no key."""
    key, endpoint = WRONG[wrong]
    with pytest.raises(gn.InvalidSettingsError) as caught:
        WAYS[way](key, endpoint)
    text = shown(caught.value)
    assert KEY not in text.replace(repr(endpoint), "") if wrong.startswith("a key ") else KEY not in text
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", ["connect_timeout_s", "read_timeout_s", "max_retries"])
def test_a_limit_that_is_refused_shows_no_key(name: str) -> None:
    """Nor does anything else that is wrong."""
    with pytest.raises(gn.InvalidSettingsError, match=name) as caught:
        Settings(key=KEY, endpoint=ADDRESS, **{name: -1})  # type: ignore[arg-type]
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize(
    "take",
    [
        gn.Client,
        gn.AsyncClient,
        lambda **arguments: gn.Client(model_access_key=KEY).with_options(**arguments),
        lambda **arguments: gn.AsyncClient(model_access_key=KEY).with_options(**arguments),
    ],
    ids=["Client", "AsyncClient", "Client.with_options", "AsyncClient.with_options"],
)
def test_an_argument_that_there_is_not_shows_no_key(take: Callable[..., Any]) -> None:
    """A key under another name is refused by the name alone."""
    for arguments in ({"api_key": KEY}, {"modle_access_key": KEY}):
        with pytest.raises(TypeError) as caught:
            take(**arguments)
        assert KEY not in shown(caught.value)


def test_settings_show_no_key() -> None:
    """Whatever is made of settings, the key stands in none of it."""
    found = discover(key=KEY)
    copies = (found, copy.copy(found), copy.deepcopy(found), dataclasses.replace(found, max_retries=1))
    views = [f"{each!r} {vars(each)!r} {dataclasses.asdict(each)!r} {dataclasses.astuple(each)!r}" for each in copies]
    assert KEY not in f"{views} {found} {found.key!s} {found.key:}"
    assert [each.key.reveal() for each in copies] == [KEY] * 4


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_key_goes_into_no_file(protocol: int) -> None:
    """Neither a key nor what holds one can be pickled: not by `%store`, not by a cache on disk."""
    found = discover(key=KEY)
    for each in (found.key, found, {"settings": [found]}):
        with pytest.raises(TypeError, match="cannot be pickled: it would end up in a file"):
            pickle.dumps(each, protocol)


def test_a_copied_key_is_the_key_itself() -> None:
    """What copies its arguments deeply keeps the one key."""
    key = Key(KEY, "test")
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


def test_a_broken_dotenv_file_is_told_without_what_stands_in_it(tmp_path: Path) -> None:
    """The error of a file that is no text would hold the file."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_bytes(f"MODEL_ACCESS_KEY={KEY}\n".encode() + b"\xff")
    with pytest.raises(gn.InvalidSettingsError, match=r"\.env cannot be read: it is not UTF-8 text") as caught:
        discover()
    assert KEY not in shown(caught.value)
    assert len(list(causes(caught.value))) == 1


def test_an_endpoint_that_is_a_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixing up the two variables is told without the key."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", KEY)
    with pytest.raises(gn.InvalidSettingsError, match=r"There is no key for the endpoint \*\*\*"):
        discover()


def test_nothing_is_logged_of_a_key(configured: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level no library that takes part says the key."""
    with caplog.at_level(logging.DEBUG):
        client = gn.Client(model_access_key=KEY)
        client.images.generate(prompt="x", quality="low")
        client.models.list()
    assert configured.posts[0].headers["authorization"] == f"Bearer {KEY}"
    assert caplog.records
    assert KEY not in "".join(f"{vars(record)!r} {record.getMessage()}" for record in caplog.records)


@pytest.mark.parametrize("endpoint", [f"https://x/{KEY}", f"https://{KEY}.example", f"http://127.0.0.1:1/?key={KEY}"])
def test_an_endpoint_with_the_key_in_it_is_refused(endpoint: str) -> None:
    """An endpoint is shown in messages and kept in the ledger: the key does not belong there."""
    with pytest.raises(gn.InvalidSettingsError, match="endpoint contains the key") as caught:
        Settings(key=KEY, endpoint=endpoint)  # type: ignore[arg-type]
    assert KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)!r}"


def tiny() -> str:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


_REPORTED = {"size": KEY, "quality": f"high {KEY}", "background": KEY, "output_format": f"{KEY}.png"}
_ENTRY = {"b64_json": tiny(), "revised_prompt": f"A house of {KEY}"}
REPEATED: dict[str, dict[str, Any]] = {
    "x-request-id": {"headers": {"x-request-id": f"id-{KEY}"}},
    "x-request-id, failed": {"status": 500, "headers": {"x-request-id": KEY}},
    "x-request-id, cut": {"cut": "in_final", "headers": {"x-request-id": KEY}},
    "revised_prompt and settings": {"body": {"created": 1, "data": [_ENTRY], **_REPORTED}, "status": 200},
    "content type": {"content_type": f"text/{KEY}", "body_text": "hello"},
    "its parameter": {"body": {"data": [_ENTRY]}, "status": 200, "content_type": f"application/json; x={KEY}"},
    "no image": {"body": {"data": [{"b64_json": KEY, "revised_prompt": KEY}]}, "status": 200},
}


@pytest.mark.parametrize("repeated", REPEATED)
def test_a_key_that_the_service_repeats_is_kept_nowhere(
    configured: Simulator, caplog: pytest.LogCaptureFixture, tmp_path: Path, repeated: str
) -> None:
    """Whatever of an answer holds the key: no message, repr, event, log or file of the archive does."""
    configured.script([REPEATED[repeated]])
    with caplog.at_level(logging.INFO):
        job = gn.submit("a house", quality="low", settings=discover(key=KEY, max_retries=0))
        job._wait()
    said = [f"{job!r} {job._slots!r} {job.notes!r} {job._failure!r}"]
    said += [
        f"{slot.event!r} {slot.request_id} {slot.error} {slot.error and vars(slot.error)!r}" for slot in job._slots
    ]
    (entry,) = gn.history()
    said += [repr(entry.record), str(entry._repr_mimebundle_())]
    said += [f"{vars(record)!r} {record.getMessage()}" for record in caplog.records]
    assert [text for text in said if KEY in text] == []
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in kept if path.suffix == ".sqlite"]
    assert [path for path in kept if KEY.encode() in path.read_bytes()] == []


def test_a_key_that_the_service_repeats_stands_in_no_event(configured: Simulator) -> None:
    """What a caller of the client gets, as an answer and as a stream, is told without it."""
    settings = discover(key=KEY)
    configured.script([{"body": {"data": [_ENTRY], **_REPORTED}, "status": 200}] * 2)
    answer = gn.Client(settings=settings).images.generate(prompt="x")
    (event,) = gn.Client(settings=settings).images.generate(prompt="x", stream=True, partial_images=1)
    assert answer.data[0].revised_prompt == event.revised_prompt == "A house of ***"
    assert (answer.size, event.quality, event.output_format) == ("***", "high ***", "***.png")
    assert KEY not in f"{answer!r} {event!r}"


def test_a_key_that_is_cut_off_by_shortening_is_hidden_too(configured: Simulator) -> None:
    """A long text is shortened after the key was taken out of it: all but its last character is a key, too."""
    long = {"size": "x" * (LONGEST_NAME - len(KEY)), "revised_prompt": "y" * (LONGEST_PROMPT - len(KEY))}
    size, prompt = (f"{text}{KEY} and more" for text in long.values())
    entry = {"b64_json": tiny(), "revised_prompt": prompt}
    configured.script([{"body": {"data": [entry], "size": size}, "status": 200}])
    answer = gn.Client(model_access_key=KEY).images.generate(prompt="x")
    assert KEY[:-1] not in repr(answer)


def test_a_key_that_the_service_calls_a_model_is_not_shown(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the list of models, and in the error that names them."""
    monkeypatch.setattr("gradient_notebook.simulator.handlers.TEXT_MODELS", (f"flux-{KEY}",))
    client = gn.Client(model_access_key=KEY)
    models = client.models.list()
    assert "flux-***" in models.image_models
    assert KEY not in repr(models)
    with pytest.raises(gn.NotFoundError, match=r"flux-\*\*\*") as caught:
        client.images.generate(prompt="x", model="unknown")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("debug", [False, True])
def test_a_prompt_with_the_key_is_refused_in_short_also_when_debugging(
    configured: Simulator, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    """The frames of such a request hold the prompt, and so the key: no whole traceback is shown of it."""
    monkeypatch.setattr(gn.GradientNotebookError, "debug", debug)
    with pytest.raises(gn.InvalidRequestError) as caught:
        gn.generate(f"a cat {KEY}", settings=discover(key=KEY))
    lines = caught.value._render_traceback_()
    assert "prompt contains your model access key" in lines[0]
    assert KEY not in "".join(lines)
    with pytest.raises(gn.InvalidRequestError) as caught:
        gn.generate("a cat", size="big")
    assert hasattr(caught.value, "_render_traceback_") is not debug
    assert configured.posts == []


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"prompt": f"a cat {KEY}!"}, "prompt"),
        ({"prompt": "x", "user": KEY}, "user"),
        ({"prompt": "x", "extra": {"style": ["a", {"b": f"{KEY}"}]}}, "extra"),
        ({"prompt": "x", "extra": {KEY: 1}}, "extra"),
        ({"prompt": "x", KEY: 1}, "extra"),
    ],
)
def test_a_request_that_holds_the_key_is_refused(values: dict[str, Any], name: str) -> None:
    """A key in a prompt, a value or a name is told by the parameter's name, and not shown."""
    with pytest.raises(gn.InvalidRequestError) as caught:
        refuse_key_in(values, Key(KEY, "test"))
    assert (caught.value.param, describe(caught.value)[0]) == (name, f"{name} contains your model access key")
    assert describe(caught.value)[1].startswith("Remove it: requests are kept in the history")
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("key", [KEY, "none", "the-simulator-takes-any-key"])
def test_a_request_without_the_key_is_let_through(key: str) -> None:
    """Other keys, parts of it and what is only used in place of a key are words like others."""
    words = f"none of {OTHER}, the simulator, sk-do-for"
    refuse_key_in({"prompt": words, "n": 3, "stream": True, "extra": {"a": [1, None]}}, Key(key, "test"))


def test_the_simulators_own_key_is_no_word() -> None:
    """What is masked in messages and refused in prompts does not stand in any by chance."""
    assert not discover().key.is_in("A simulated picture, simulated by the simulator")
    with pytest.raises(gn.InvalidRequestError):
        refuse_key_in({"prompt": discover().key.reveal()}, discover().key)


# Where keys come from.


def test_the_order_of_the_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: Any) -> None:
    """An argument, what was logged in with, the environment, `.env`, the keyring: the first that has one."""
    pytest.importorskip("dotenv")
    connect.store(Key("sk-do-keyring", "test"))
    assert discover().key_source == "the system's keyring"
    (tmp_path / ".env").write_text("MODEL_ACCESS_KEY=sk-do-dotenv\n")
    assert discover().key_source == "MODEL_ACCESS_KEY in .env"
    monkeypatch.setenv("MODEL_ACCESS_KEY", "sk-do-environment")
    assert discover().key_source == "MODEL_ACCESS_KEY"
    connect.remember(Key("sk-do-typed", LOGIN))
    assert (discover().key_source, discover().key.reveal()) == (LOGIN, "sk-do-typed")
    assert discover(key=KEY).key_source == "argument"


@pytest.mark.parametrize("place", ["memory", "keyring"])
def test_a_key_from_elsewhere_does_not_go_where_a_dotenv_file_says(place: str, tmp_path: Path, keyring: Any) -> None:
    """A folder that somebody else has made does not get the key of this user."""
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text("GRADIENT_INFERENCE_ENDPOINT=https://elsewhere.example\n")
    key = Key(KEY, "test")
    connect.remember(key) if place == "memory" else connect.store(key)
    assert discover().endpoint == settings.DEFAULT_ENDPOINT


# %imagegen_login


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """What the system's keyring holds."""
    held: dict[tuple[str, str], str] = {}
    module = types.ModuleType("keyring")
    setattr(module, "get_password", lambda *entry: held.get(entry))
    setattr(module, "set_password", lambda service, name, text: held.update({(service, name): text}))
    setattr(module, "delete_password", lambda *entry: held.pop(entry))
    monkeypatch.setitem(sys.modules, "keyring", module)
    return held


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the person at the prompt type this."""

    def type_it(text: str) -> None:
        monkeypatch.setattr(login_module.getpass, "getpass", lambda _: text)

    type_it(KEY)
    return type_it


@pytest.fixture
def without_environment(configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The simulator as the endpoint, and no key."""
    monkeypatch.delenv("GRADIENT_MODEL_ACCESS_KEY")
    return configured


def test_a_key_that_works_is_kept_in_memory(without_environment: Simulator, typed: Callable[[str], None]) -> None:
    """One line says where it is kept and what was found with it, and everything that asks for settings gets it."""
    typed(f"  {KEY}\n")
    said = login("")
    assert said.startswith("The key is kept in this kernel's memory only; it works: ")
    assert said.endswith(f"image models at {without_environment.url}.")
    assert KEY not in said
    assert (discover().key.reveal(), discover().key_source) == (KEY, "%imagegen_login")
    assert without_environment.posts == []
    gn.generate("hills", quality="low")
    assert without_environment.posts[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_key_knows_what_was_logged_in_with(typed: Callable[[str], None], keyring: Any) -> None:
    """A key in memory or in the keyring is a key: the simulator is not announced."""
    assert without_key()
    connect.remember(Key(KEY, LOGIN))
    assert not without_key()
    connect.forget()
    connect.store(Key(KEY, LOGIN))
    assert not without_key()
    login("--forget")
    assert without_key()


@pytest.mark.parametrize(
    ("option", "kind"),
    [("", gn.AuthenticationError), ("--keyring", gn.AuthenticationError), ("", gn.PermissionDeniedError)],
)
def test_a_key_that_the_service_refuses_is_not_kept(  # noqa: PLR0917 - three fixtures and a table of two
    without_environment: Simulator,
    typed: Callable[[str], None],
    keyring: Any,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    kind: type[gn.APIStatusError],
) -> None:
    """Neither where it is unknown nor where it may do nothing; what was kept before stays."""
    monkeypatch.setattr(error_responses, "_BY_STATUS", {401: kind})
    connect.remember(Key(OTHER, LOGIN))
    monkeypatch.setattr("gradient_notebook.simulator.handlers.REFRESH_TOKENS", "sk-do-for")
    with pytest.raises(kind, match=r"came from %imagegen_login.*The key was not kept") as caught:
        login(option)
    assert (caught.value.key_source, caught.value.remark) == (LOGIN, "The key was not kept.")
    assert discover().key.reveal() == OTHER
    assert keyring == {}
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("text", ["dor_v1_" + KEY, KEY + " x", KEY + "\u00e9"])
def test_what_cannot_be_a_key_is_refused_before_it_is_tried(
    without_environment: Simulator, typed: Callable[[str], None], text: str
) -> None:
    """The reason is told, the key is not."""
    typed(text)
    with pytest.raises(gn.InvalidSettingsError, match="The key from %imagegen_login") as caught:
        login("")
    assert KEY not in shown(caught.value)
    assert connect.find_key().key is None


def test_a_key_that_could_not_be_tried_is_kept(typed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection the key is taken, and said to be untried."""
    monkeypatch.setenv("GRADIENT_INFERENCE_ENDPOINT", "http://127.0.0.1:1")
    said = login("")
    assert said.startswith("The key is kept in this kernel's memory only; it could not be checked: Could not reach")
    assert discover().key.reveal() == KEY


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_typed_changes_nothing(typed: Callable[[str], None], text: str) -> None:
    """An empty line is no key, and no mistake."""
    connect.remember(Key(OTHER, LOGIN))
    typed(text)
    assert login("") == "Nothing was entered, and nothing has changed."
    assert discover().key.reveal() == OTHER


def test_an_interrupt_at_the_prompt_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays an interrupt."""

    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(login_module.getpass, "getpass", interrupted)
    with pytest.raises(KeyboardInterrupt, match="nothing has changed"):
        login("")
    assert connect.find_key().key is None


def test_a_terminal_that_would_show_the_key_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is typed would be seen, or nobody can type, the error says what to do instead."""
    monkeypatch.setattr(login_module.getpass, "getpass", login_module.getpass.fallback_getpass)
    with pytest.raises(
        gn.InvalidSettingsError, match=r"cannot ask .*\nSet GRADIENT_MODEL_ACCESS_KEY in the environment"
    ):
        login("")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--keyrng", "--keyrng: no such option\nDid you mean --keyring?"),
        ("-x", "-x: no such option\n%imagegen_login takes --keyring or --forget"),
        ("--keyring --forget", "cannot be combined"),
        (KEY, "don't write the key on this line"),
        (f"--key={KEY}", "don't write the key on this line"),
        ("anything", "don't write the key on this line"),
    ],
)
def test_what_the_line_does_not_take(line: str, words: str, typed: Callable[[str], None]) -> None:
    """An unknown option is named; a key on the line is not, and nobody is asked."""
    typed("must not be asked")
    with pytest.raises(gn.InvalidRequestError) as caught:
        login(line)
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_keyring_keeps_the_key_for_other_sessions(
    without_environment: Simulator, typed: Callable[[str], None], keyring: Any, tmp_path: Path
) -> None:
    """`--keyring` puts it there, and a note without the key that it is there; `--forget` takes both away."""
    assert "this kernel's memory and the system's keyring; it works" in login("--keyring")
    assert list(keyring.values()) == [KEY]
    connect.forget()  # as another session
    assert (discover().key.reveal(), discover().key_source) == (KEY, "the system's keyring")
    notes = [path for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert len(notes) == 1
    assert KEY not in notes[0].read_text()

    assert login("--forget") == "The key is forgotten; no key is set."
    assert keyring == {}
    assert connect.find_key().key is None
    assert not notes[0].exists()
    assert login("--forget") == "There was nothing to forget; no key is set."


def test_after_forgetting_another_key_may_hold(configured: Simulator, typed: Callable[[str], None]) -> None:
    """The line says which."""
    login("")
    said = login("--forget")
    assert said == "The key is forgotten; the key from GRADIENT_MODEL_ACCESS_KEY is used."


def test_the_keyring_is_left_alone_until_somebody_says_so(
    without_environment: Simulator, typed: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the note, nothing imports the package or asks it."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert connect.find_key().key is None
    login("")
    login("--forget")
    without_key()


def test_a_missing_keyring_is_told_before_the_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(
        gn.InvalidSettingsError, match=r"package keyring.* is not installed.*\nInstall it: pip"
    ) as caught:
        login("--keyring")
    assert caught.value.suggest == ("keep_in_memory",)


@pytest.mark.parametrize("broken", ["set_password", "get_password"])
def test_a_keyring_that_fails_shows_no_key(
    without_environment: Simulator, typed: Callable[[str], None], keyring: Any, monkeypatch: Any, broken: str
) -> None:
    """Its own error, whose frames and words may hold the key, is not passed on; nothing is kept or noted."""

    def fails(*entry: str) -> None:
        raise RuntimeError(f"locked: {entry} {KEY}")

    monkeypatch.setattr(sys.modules["keyring"], broken, fails)
    with pytest.raises(gn.InvalidSettingsError, match=r"keyring cannot be used \(RuntimeError\)") as caught:
        login("--keyring")
    assert KEY not in shown(caught.value)
    assert len(list(causes(caught.value))) == 1
    assert connect.find_key().key is None


@pytest.mark.parametrize("asked", ["set_password", "get_password"])
def test_an_interrupt_while_the_keyring_asks_shows_no_key(keyring: Any, monkeypatch: Any, asked: str) -> None:
    """It stays an interrupt, and has left behind all that the keyring was told."""

    def asks(*entry: str) -> None:
        told = (*entry, KEY)
        raise KeyboardInterrupt(told)

    monkeypatch.setattr(sys.modules["keyring"], asked, asks)
    with pytest.raises(KeyboardInterrupt) as caught:
        connect.store(Key(KEY, "test"))
    assert KEY not in shown(caught.value)
    frames = [frame for link in causes(caught.value) for frame, _ in traceback.walk_tb(link.__traceback__)]
    assert "asks" not in [frame.f_code.co_name for frame in frames]
    assert len(list(causes(caught.value))) == 1


def test_a_keyring_that_keeps_nothing_is_found_out(
    without_environment: Simulator, typed: Callable[[str], None], keyring: Any, monkeypatch: Any
) -> None:
    """Some systems have a keyring that takes everything and holds nothing."""
    monkeypatch.setattr(sys.modules["keyring"], "set_password", lambda *_: None)
    with pytest.raises(gn.InvalidSettingsError, match="did not store the key"):
        login("--keyring")


def test_a_key_that_is_gone_from_the_keyring_is_missed(keyring: Any) -> None:
    """Where the note says that there is a key, the simulator is not used instead."""
    connect.store(Key(KEY, "test"))
    keyring.clear()
    with pytest.raises(gn.InvalidSettingsError, match="but it is not there"):
        discover()


@pytest.mark.parametrize("values", [{"size": KEY}, {"n": KEY}, {"sise": KEY}, {"extra": {"n": KEY}}])
def test_a_key_in_the_place_of_a_value_is_not_shown(values: dict[str, Any]) -> None:
    """The message about a wrong value, an unknown name or a declared one in `extra` has no key in it."""
    with pytest.raises(gn.InvalidRequestError) as caught:
        gn.ImageGenerateParams.of({"prompt": "a", **values})
    assert KEY not in str(caught.value)
