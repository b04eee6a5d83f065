"""An archive whose originals lie at an address: here first, then there; nothing is lost on the way, and nothing replaced."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gradient_notebook as gn
from gradient_notebook import address, history
from gradient_notebook.notebook.formatting import caption
from gradient_notebook.simulator import Fault, Simulator
from gradient_notebook.simulator.generations import TINY_PICTURE
from gradient_notebook.storage import archive, remote, uploads
from gradient_notebook.storage.archive import Archive, get_default, store_original
from gradient_notebook.storage.files import make_private_folder
from gradient_notebook.storage.remote import Remote, RemoteError

fsspec = pytest.importorskip("fsspec")

KEY = "sk-do-for-tests-only"
SECRET = "wJalrXUtnFEMI-a-secret"
BUCKET = "s3://pictures/otters"
SMALL: dict[str, Any] = {"quality": "low", "size": "1024x1024"}
TINY = Fault(image_base64=TINY_PICTURE.decode())
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}


class Bucket:
    """A server that speaks S3, on a port of its own, which can be down."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: Any = None

    def up(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def down(self) -> None:
        if self._server:
            self._server.stop()
        self._server = None

    @property
    def objects(self) -> dict[str, bytes]:
        """What lies in it, by name, with what is said of it."""
        from moto.s3.models import s3_backends

        keys = s3_backends["123456789012"]["aws"].buckets["pictures"].keys
        return {name: key.value for name, key in keys.items()}

    @property
    def told(self) -> str:
        """All names and descriptions of what lies in it."""
        from moto.s3.models import s3_backends

        keys = s3_backends["123456789012"]["aws"].buckets["pictures"].keys
        return repr([(name, key.metadata, key.response_dict) for name, key in keys.items()])


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").disabled = True
    bucket = Bucket()
    bucket.up()
    yield bucket
    bucket.down()


@pytest.fixture(autouse=True)
def own_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connections of its own, few and short attempts, and nothing that is sent after the test."""
    for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(uploads, "_FIRST_WAIT_S", 0.1)
    remote._files.cache_clear()
    yield
    for sender in uploads._senders.values():
        sender.uploads.run = lambda _=None: (0, [])  # type: ignore[method-assign]


@pytest.fixture
def bucket(server: Bucket, configured: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, which is where the session keeps its originals; the service's pictures cost no time."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    urllib.request.urlopen(urllib.request.Request(f"{server.url}/moto-api/reset", method="POST")).close()
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("pictures")
    configured.script([TINY] * 50)
    gn.configure(archive_dir=BUCKET)
    yield server
    if server._server is None:
        server.up()


def the_archive() -> Archive:
    found = get_default()
    assert found
    return found


def settle() -> None:
    """Wait until everything is up, or cannot be now."""
    found = the_archive().uploads
    assert found
    assert uploads.wait(found, 60)


def pending() -> list[str]:
    found = the_archive().uploads
    assert found
    return found.pending()


def without_cache() -> None:
    for name in ("originals", "uploaded"):
        shutil.rmtree(the_archive().folder / name)


def until(condition: Any) -> None:
    """Wait for what happens elsewhere."""
    ends_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_s
        threading.Event().wait(0.02)


def put(name: str, data: bytes) -> None:
    fsspec.filesystem("s3", skip_instance_cache=True).pipe_file(f"pictures/otters/originals/{name}", data)


def test_an_image_is_here_and_then_there(bucket: Bucket, tmp_path: Path) -> None:
    """Under its content's hash, as the service sent it; the ledger stays here, and whoever looks is told where it lies."""
    job = gn.submit("x", **SMALL)
    image = job.result()
    assert caption("image", job)[-1] == f"original in {BUCKET}"
    entry = history()[0]
    settle()
    name = f"otters/originals/{hashlib.sha256(entry.bytes).hexdigest()}.png"
    assert bucket.objects == {name: entry.bytes}
    assert entry.addresses == [f"s3://pictures/{name}"]
    assert entry.paths[0].is_relative_to(tmp_path / "data" / "gradient_notebook" / "archives")
    assert image.filename == str(entry.paths[0])
    assert (the_archive().folder / "ledger.sqlite").exists()
    assert KEY not in bucket.told + str(bucket.objects.keys())
    bucket.down()
    assert entry.image.size == image.size


def test_another_cache_reads(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where originals are not on this machine, they are fetched when they are opened, once; a sweep makes none again."""
    study = gn.sweep("{{i}}", i=[1, 2], **SMALL).result()
    settle()
    here = the_archive().folder
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another"))
    there = the_archive().folder
    there.mkdir(parents=True)
    shutil.copy(here / "ledger.sqlite", there)
    entry = history()[0]
    assert not entry.paths[0].exists()
    assert entry.image.size == (1, 1)
    assert entry.paths[0].exists()
    assert pending() == []
    again = gn.sweep("{{i}}", i=[1, 2], start=False, **SMALL)
    assert again.plan.to_make == 0
    assert [cell.bytes for cell in again] == [cell.bytes for cell in study]


@pytest.mark.parametrize("there", [b"something else", None], ids=["changed", "missing"])
def test_what_is_fetched_is_what_was_received(bucket: Bucket, there: bytes | None) -> None:
    """An object that was changed is not taken for the image, nor kept; one that is gone is told by its address."""
    gn.generate("x", **SMALL)
    settle()
    without_cache()
    entry = history()[0]
    if there is None:
        fsspec.filesystem("s3", skip_instance_cache=True).rm_file(entry.addresses[0])
    else:
        put(entry.paths[0].name, there)
    match = "was changed" if there else f"is missing: {entry.addresses[0]}"
    with pytest.raises(gn.GradientNotebookError, match=match):
        _ = entry.image
    assert not entry.paths[0].exists()


def test_no_other_content_is_replaced(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    """What has an original's name there and is another stays; that is told, and what was left before goes up."""
    data = base64.b64decode(TINY_PICTURE)
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    put(name, b"mine")
    make_private_folder(the_archive().originals)
    (the_archive().originals / f"{hashlib.sha256(b'other').hexdigest()}.png").write_bytes(b"other")
    gn.generate("x", **SMALL)
    settle()
    assert bucket.objects[f"otters/originals/{name}"] == b"mine"
    assert len(bucket.objects) == 2
    assert pending() == [name]
    assert "has another content, and is not replaced" in caplog.text
    place = Remote(BUCKET)
    assert (place.create(name, b"yours"), place.create(name, b"mine")) == (False, True)
    assert place.read(name) == b"mine"


def test_a_server_that_was_down_gets_it_later(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    """The image comes all the same; a note says once where it is; it goes up by itself when the server is there again."""
    bucket.down()
    assert [gn.generate("x", **SMALL).size for _ in range(2)] == [(1, 1), (1, 1)]
    settle()
    assert len(pending()) == 1  # the same picture, twice
    notes = [record.getMessage() for record in caplog.records if BUCKET in record.getMessage()]
    assert len(notes) == 1
    assert notes[0].startswith(f"{BUCKET} cannot be reached. The original stays on this machine")
    assert "Traceback" not in caplog.text
    with pytest.raises(gn.GradientNotebookError, match=r"cannot be reached\.\s1 originals are on this machine alone"):
        history().upload()
    bucket.up()
    until(lambda: not pending())
    assert history().upload() == 0
    assert len(bucket.objects) == 1


_MAKING = """
import os, signal, sys
import gradient_notebook as gn
from gradient_notebook.storage import remote
if "killed" in sys.argv:
    remote.Remote.create = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if "look" in sys.argv:
    gn.history()
else:
    gn.generate("x", quality="low", size="1024x1024")
"""


def in_another_process(*arguments: str) -> int:
    environment = {**os.environ, "GRADIENT_IMAGE_ARCHIVE_DIR": BUCKET}
    return subprocess.run(
        [sys.executable, "-c", _MAKING, *arguments], env=environment, check=False, timeout=120, capture_output=True
    ).returncode


def test_another_process_sends_what_one_could_not(bucket: Bucket) -> None:
    """One that found no server, and one that was killed between disk and bucket: what they made is there in the end."""
    bucket.down()
    assert in_another_process() == 0
    assert len(pending()) == 1
    bucket.up()
    assert in_another_process("look") == 0
    assert (pending(), len(bucket.objects)) == ([], 1)
    history().delete()
    settle()
    assert (in_another_process("killed"), bucket.objects, len(pending())) == (-signal.SIGKILL, {}, 1)
    assert history()[0].outcome in ("done", "unknown")
    settle()
    assert (pending(), len(bucket.objects)) == ([], 1)


def test_what_is_deleted_is_deleted_there(bucket: Bucket, configured: Simulator) -> None:
    """As here: what another record names stays; what cannot be deleted now is deleted later."""
    for prompt in ("x", "y"):
        gn.generate(prompt, **SMALL)
    other = store_original(BUCKET, b"of somebody else")
    settle()
    assert len(bucket.objects) == 2
    history("y").delete()
    settle()
    assert len(bucket.objects) == 2
    bucket.down()
    history().prune(max_bytes=0)
    settle()
    bucket.up()
    until(lambda: set(bucket.objects) == {f"otters/originals/{other}"})
    assert pending() == []


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that refuses everything, and repeats what it was sent, as some do."""

    protocol_version = "HTTP/1.1"  # which answers `Expect: 100-continue`

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        told = f"<Error><Code>AccessDenied</Code><Message>{self.headers['authorization']} {SECRET}</Message></Error>"
        self.send_response(403)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told.encode())

    do_GET = do_PUT  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("why", ["no bucket", "no credentials", "403"])
def test_a_bucket_that_refuses_costs_no_image(
    bucket: Bucket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """It is told in words, in which no credential and no signature is."""
    words = {
        "no bucket": "does not exist: there is no such bucket",
        "no credentials": "cannot be used: no credentials were found",
        "403": "refuses access (403)",
    }[why]
    with contextlib.ExitStack() as stack:
        if why == "no bucket":
            gn.configure(archive_dir="s3://nowhere/at-all")
        elif why == "no credentials":
            for name in CREDENTIALS:
                monkeypatch.delenv(name)
        else:
            refusing = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing))
            threading.Thread(target=refusing.serve_forever, daemon=True).start()
            stack.callback(refusing.shutdown)
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{refusing.server_port}")
        remote._files.cache_clear()
        assert gn.generate("x", **SMALL).size
        settle()
        with pytest.raises(gn.GradientNotebookError) as caught:
            history().upload()
    assert words in caplog.text
    assert words in str(caught.value)
    assert len(pending()) == 1
    said = caplog.text + repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    for secret in (SECRET, CREDENTIALS["AWS_ACCESS_KEY_ID"], "Signature", "Traceback"):
        assert secret not in said


def test_a_detached_run_keeps_its_originals_there(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that makes it has the archive's address, and ends when all is up; this one sends nothing."""
    monkeypatch.setattr(archive, "wake", lambda *_: None)
    study = gn.sweep("{{i}}", i=[1, 2, 3], start=False, **SMALL).detach().result()
    assert [cell.outcome for cell in study] == ["done"] * 3
    assert all(cell.image for cell in study)
    until(lambda: len(bucket.objects) == 1 and not pending())


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_any_protocol_will_do(configured: Simulator, tmp_path: Path, protocol: str) -> None:
    """What fsspec knows: a folder elsewhere, a memory."""
    where = f"{protocol}://{tmp_path}/elsewhere/"
    gn.configure(archive_dir=where)
    assert gn.session.archive_dir == where.rstrip("/")
    gn.generate("x", **SMALL)
    settle()
    without_cache()
    entry = history()[0]
    assert entry.image.size
    assert fsspec.filesystem(protocol).cat_file(f"{tmp_path}/elsewhere/originals/{entry.paths[0].name}") == entry.bytes
    history().delete()
    settle()
    assert fsspec.filesystem(protocol).ls(f"{tmp_path}/elsewhere/originals") == []


@pytest.mark.parametrize("protocol", ["", "file://", "memory://"])
def test_an_original_is_put_where_an_archive_has_them(tmp_path: Path, protocol: str) -> None:
    """Without a ledger, by its content, twice as well as once: what a worker does that is told of the place alone."""
    place = f"{protocol}{tmp_path}/shared"
    name = store_original(place, b"data")
    assert store_original(place, b"data") == name
    archive = Archive(place)
    assert name == archive.path_of(b"data").name
    assert (
        archive.uploads.remote.read(name) if archive.uploads else (archive.originals / name).read_bytes()
    ) == b"data"


BAD = {
    "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket": "it contains a user name, a password or a key",
    "s3://AKIA:wJalrXUtnFEMI/bucket": "it contains a user name, a password or a key",
    "s3://bucket/p?X-Amz-Signature=wJalrXUtnFEMI": "it has more than a place",
    "s3://": "it names no bucket",
    "s3:///prefix": "it names no bucket",
    "s3:/bucket": "expected a folder, or an address",
    "http://example.com/x": "nothing can be kept at a http address",
    "https://bucket.s3.amazonaws.com": "nothing can be kept at a https address",
    "s4://bucket": "s4:// is not known",
    "file://relative": "its path is not absolute",
    "filecache::s3://bucket": "it has more than a place",
    "://bucket": "expected a folder, or an address",
}


@pytest.mark.parametrize("wrong", BAD)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    """When it is set, in words that show no credential; the archive stays where it is."""
    with pytest.raises(gn.InvalidSettingsError) as caught:
        gn.configure(archive_dir=wrong)
    assert BAD[wrong] in str(caught.value)
    assert "wJalrXUtnFEMI" not in str(caught.value)
    assert gn.session.archive_dir == ""


def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of it is imported for a folder."""
    monkeypatch.setattr(address.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(gn.InvalidSettingsError, match=r"pip install 'gradient-notebook\[s3\]'"):
        gn.configure(archive_dir="s3://bucket")
    loading = "import sys, gradient_notebook as gn; gn.configure(archive_dir='x'); gn.history(); print('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loading], capture_output=True, check=True).stdout.split() == [b"False"]


def test_what_goes_wrong_there_is_an_os_error() -> None:
    """Whatever a library raises, so that what the disk may do a bucket may do as well."""
    with pytest.raises(RemoteError, match=r"file:///dev/null/x cannot be used \(NotADirectoryError\)"):
        Remote("file:///dev/null/x").create("a", b"")
