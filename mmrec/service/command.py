"""`mmrec serve`: a store behind HTTP, until it is told to stop."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mmrec.service.jobs import Jobs
    from mmrec.service.settings import ServiceSettings

LONGEST_HEAD = 2**17  # bytes of a request's line and headers; the longest condition has 48,000, once escaped


def plug(app: typer.Typer) -> None:
    """Add the command to the `mmrec` CLI."""
    app.command()(serve)


def serve(
    store: Annotated[Path, typer.Argument(help="Folder of the store, such as shop.mmrec.")],
    host: Annotated[str | None, typer.Option(help="Address to listen at. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free one. Default: 8000.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second of one key or client.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds until a request is given up.")] = None,
    threads: Annotated[int | None, typer.Option(help="Requests that read at the same time.")] = None,
    gallery: Annotated[bool, typer.Option("--open", help="Show the gallery in a browser.")] = False,
) -> None:
    """Serve a store over HTTP; SIGTERM or Ctrl-C finishes what is in flight.

    The environment sets the same and more, as MMREC_PORT, MMREC_TIMEOUT, MMREC_IN_FLIGHT. MMREC_API_KEYS
    holds one or two keys, by comma; it is needed to listen at another address than 127.0.0.1.
    """
    from mmrec.cli import errors_to_exit, say
    from mmrec.monitor.impressions import watching
    from mmrec.recommender import Recommender
    from mmrec.service.app import create_app
    from mmrec.service.settings import ServiceSettings

    with errors_to_exit():
        settings = ServiceSettings.read(
            os.environ, host=host, port=port, rate=rate, timeout=timeout, threads=threads)
        # Half the time-out, so that a store held by another process is told as busy rather than as slow.
        with Recommender.open(store, create=False, wait=settings.timeout / 2) as shop, listen(settings) as at:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            address = f"http://{host}:{at.getsockname()[1]}"
            say({"serving": str(store), "address": address})
            if gallery:  # some browsers keep whoever opens them waiting
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            with watching(shop) as watcher:
                run(create_app(shop, settings, watcher=watcher), settings, at)


def listen(settings: ServiceSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: the address is taken, or none of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen at {settings.host}:{settings.port} ({error}): give another --host or --port"
        ) from None
    # Its connections inherit it; asyncio sets it for sockets of its own making alone, and without it every
    # answer waits some 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(app: FastAPI, settings: ServiceSettings, listener: socket.socket) -> None:
    """Serves until a signal comes; SIGTERM ends the process in order."""
    import uvicorn

    from mmrec.service.memory import give_back

    give_back()
    for name in ("uvicorn", "python_multipart"):  # which warn of every request that is badly formed
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=int(settings.timeout) + 1, ws="none",
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    # uvicorn raises SIGTERM again once it has served all: it shall end us in order, so that the log is kept
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    atexit.register(leave, app.state.core.jobs)
    uvicorn.Server(config).run(sockets=[listener])


def leave(jobs: Jobs) -> None:
    """Ends the process at once if a job is still deep in a library, which would abort at Python's own end."""
    if jobs.running:
        os._exit(0)
