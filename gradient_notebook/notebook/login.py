"""`%imagegen_login`: asks for the key where it is typed unseen, tries it, and keeps it in the kernel's memory."""

from __future__ import annotations

import getpass
import warnings

from IPython.core.error import StdinNotImplementedError

from .. import connect
from ..api.credentials import KEY_VARIABLES, Key, looks_like_key
from ..api.errors import (
    AuthenticationError,
    GradientNotebookError,
    InvalidRequestError,
    InvalidSettingsError,
    PermissionDeniedError,
)
from ..api.settings import Settings
from ..api.text import nearest
from ..connect import discover
from ..jobs import event_loop

LOGIN = "%imagegen_login"
_PROMPT = "Model access key (input is hidden): "
_OPTIONS = ("--keyring", "--forget")


def login(line: str) -> str:
    """Do what `%imagegen_login [--keyring | --forget]` says, and return one line on what came of it."""
    option = _option(line)
    if option == "--forget":
        return _forgotten()
    if option == "--keyring":
        connect.get_keyring()  # before anything is asked: it may be missing
    key = _typed()
    if not key.reveal():
        return "Nothing was entered, and nothing has changed."
    found = _tried(discover(key=key))
    if option == "--keyring":
        # The keyring first: where it refuses, the key from before still holds in the memory, too.
        connect.store(key)
    connect.remember(key)
    place = "this kernel's memory and the system's keyring" if option == "--keyring" else "this kernel's memory only"
    return f"The key is kept in {place}; {found}"


def _option(line: str) -> str:
    words = line.split()
    if looks_like_key(line) or any(not word.startswith("-") for word in words):
        # Here and in the advice nothing of the line is repeated: it may be the key.
        what = f"{LOGIN}: don't write the key on this line; it stays in the notebook and in the history"
        raise InvalidRequestError(what, f"Remove it, revoke that key, and run {LOGIN} alone: it asks for the key.")
    unknown = next((word for word in words if word not in _OPTIONS), None)
    if unknown is not None:
        advice = f"{nearest(unknown, _OPTIONS)} {LOGIN} takes --keyring or --forget."
        raise InvalidRequestError(f"{unknown}: no such option", advice.strip())
    if len(set(words)) > 1:
        raise InvalidRequestError(f"{LOGIN}: --keyring and --forget cannot be combined", "Leave one out.")
    return words[0] if words else ""


def _typed() -> Key:
    """Ask for the key. Raises InvalidSettingsError where nobody can be asked unseen."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # a terminal that would show what is typed
            # Wrapped at once, and never in a variable of its own: a traceback can show locals.
            return Key(getpass.getpass(_PROMPT), LOGIN)
    except (StdinNotImplementedError, EOFError, getpass.GetPassWarning):
        what = f"{LOGIN} cannot ask for the key here: hidden input is not possible."
        raise InvalidSettingsError(what, f"Set {KEY_VARIABLES[0]} in the environment instead.") from None
    except KeyboardInterrupt:
        raise event_loop.interrupted("nothing has changed.") from None


def _tried(settings: Settings) -> str:
    """Return what a request that is free of charge says of the key; raise what the service has against it."""
    from ..api.client import AsyncClient

    async def image_models() -> int:
        # Not `client_for`: that keeps its clients, and this key may be refused.
        async with AsyncClient(settings=settings) as client:
            return len((await client.models.list()).image_models)

    try:
        count = event_loop.run(image_models())
    except (AuthenticationError, PermissionDeniedError, InvalidSettingsError) as error:
        error.remark = "The key was not kept."
        raise
    except GradientNotebookError as error:
        # A service that cannot be reached says nothing against the key: it is kept.
        return f"it could not be checked: {error.summary}"
    return f"it works: {count} image model{'' if count == 1 else 's'} at {settings.endpoint}."


def _forgotten() -> str:
    """Forget the key wherever this has put it, and return what holds from now on."""
    before = connect.forget()
    before = connect.remove() or before
    left = connect.find_key().key
    rest = f"the key from {left.source} is used" if left else "no key is set"
    return f"{'The key is forgotten' if before else 'There was nothing to forget'}; {rest}."
