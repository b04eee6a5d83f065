"""What stands between a client and a service in a company: its own authority, TLS, a proxy. All of it is real."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

HOST = "inference.example"
"""A name that leads nowhere: only a proxy that knows it gets there."""


class Listener:
    """A server of bare sockets, each connection on a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._serve(connection)


def more_of(connection: socket.socket) -> bytes:
    """Return the next bytes. Raises ConnectionError where the client has left: who went on asking would never end."""
    if not (data := connection.recv(65_536)):
        raise ConnectionError("The client has left.")
    return data


def pass_on(one: socket.socket, port: int) -> None:
    """Carry bytes both ways between a connection and a port of this machine until either side hangs up."""
    with socket.create_connection(("127.0.0.1", port)) as other:
        back = threading.Thread(target=_pump, args=(other, one), daemon=True)
        back.start()
        _pump(one, other)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Proxy(Listener):
    """A proxy that digs tunnels to one port, whatever host is asked for; `asked` are the hosts."""

    def __init__(self, to_port: int) -> None:
        super().__init__(self._dig)
        self._to_port = to_port
        self.asked: list[str] = []

    def _dig(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += more_of(connection)
        self.asked.append(head.split()[1].decode())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pass_on(connection, self._to_port)


class Authority:
    """A company's own authority, and a certificate that it has given out for 127.0.0.1 and for `HOST`."""

    def __init__(self, folder: Path) -> None:
        if not (openssl := shutil.which("openssl")):
            pytest.skip("openssl makes the certificates")
        self.file, self._folder = folder / "ca.pem", folder
        names = f"subjectAltName=IP:127.0.0.1,DNS:{HOST}"

        def run(*words: str) -> None:
            subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        run(*new, "-x509", "-days", "2", "-subj", "/CN=A Company", "-keyout", "ca.key", "-out", "ca.pem")
        run(*new, "-subj", "/CN=inside", "-keyout", "own.key", "-out", "own.csr")
        (folder / "names").write_text(names)
        by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        run("x509", "-req", "-in", "own.csr", "-out", "own.pem", *by)

    def front(self, to_port: int) -> Listener:
        """Return a server that speaks TLS, before one that does not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "own.pem", self._folder / "own.key")

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secured:
                pass_on(secured, to_port)

        return Listener(serve)
