"""`python -m gradient_notebook.simulator`: the service alone, for any client of the API."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from dataclasses import fields
from pathlib import Path

from ..api.errors import InvalidRequestError
from ..recording import RecordedRequest, read
from .faults import Fault, read_script
from .server import Simulator


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 86_400:
        raise ValueError
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 65_536:
        raise ValueError
    return value


def _faults(text: str) -> list[Fault]:
    try:
        return read_script(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _recording(text: str) -> list[RecordedRequest]:
    try:
        return read(text)
    except InvalidRequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


_seconds.__name__ = "number of seconds"
_port.__name__ = "port (0 to 65535)"


def _arguments(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Simulate the image generation service on 127.0.0.1. Its URL is printed when it is ready.",
        epilog=f"What a fault can say: {', '.join(declared.name for declared in fields(Fault))}; null behaves.",
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=_port, default=0, help="TCP port; a free one if not given")
    parser.add_argument("--seconds-per-image", type=_seconds, help="time of one image; by quality if not given")
    parser.add_argument("--faults", type=_faults, default=[], metavar="FILE", help="JSON list, one fault for each POST")
    parser.add_argument("--seed", help="another seed is another set of pictures")
    parser.add_argument("--replay", type=_recording, metavar="FILE", help="play a recording instead of painting")
    parser.add_argument(
        "--speed", type=_seconds, default=1.0, help="of the recording: 2 in half of the time, 0 without a wait"
    )
    parser.add_argument("--strict", action="store_true", help="refuse what leaves out a field that the API requires")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None, prog: str = "python -m gradient_notebook.simulator") -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    given = _arguments(arguments, prog)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    simulator = Simulator(
        seconds_per_image=given.seconds_per_image,
        faults=given.faults,
        port=given.port,
        seed=given.seed,
        strict=given.strict,
        replay=given.replay,
        speed=given.speed,
    )
    try:
        simulator.start()
    except OSError as error:
        print(f"Port {given.port} cannot be used: {error.strerror}. Give another --port.", file=sys.stderr)
        return 1
    with simulator:
        print(simulator.url, flush=True)
        while not stop.wait(1):  # Windows hears no signal in an endless wait
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
