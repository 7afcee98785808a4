"""The commands around training and the service: `mmrec check`, `fit`, `monitor` and `serve`."""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import platform
import signal
import socket
import sys
import threading
import webbrowser
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmrec.cli_options import Plain, StorePath, errors_to_exit, opened, say, show_table, training_status
from mmrec.errors import ConfigError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mmrec.service.jobs import Jobs
    from mmrec.service.settings import ServiceSettings
    from mmrec.training.fit import FitReport

LONGEST_HEAD = 2**17  # bytes of a request's line and headers; the longest condition has 48,000, once escaped
ARENAS = 2  # heaps that threads share; glibc makes up to eight for each core
LARGE = 2**20  # bytes from which a block is mapped by itself, and unmapped when it is freed
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt, in malloc.h


def fit(
    store: StorePath,
    warm_start: Annotated[bool, typer.Option(
        "--warm-start", help="Go on from the head that serves, in a fraction of the time.")] = False,
    ordered: Annotated[bool, typer.Option(
        "--ordered", help="Learn what comes next in time, in place of what belongs together.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over all users.")] = None,
    seed: Annotated[int, typer.Option(help="The same gives the same head.")] = 0,
    device: Annotated[str | None, typer.Option(help="Of torch, such as cuda; the CPU, if none.")] = None,
    curves: Annotated[bool, typer.Option("--curves", help="Print the loss of each epoch too.")] = False,
    plain: Plain = False,
) -> None:
    """Aligns content with behaviour: trains on all recorded wishes; the old head serves until it is done.

    What `mmrec serve` showed to users whom it knew counts as shown.
    """
    from mmrec.monitor.shown import keep_shown

    with opened(store) as shop, training_status() as progress:
        keep_shown(shop)
        report = shop.fit(
            warm_start=warm_start, ordered=ordered, epochs=epochs, seed=seed, device=device,
            progress=progress,
        )
    if plain:
        _show_fit(report)
        return
    told = report.as_dict()
    if not curves:
        del told["curves"]
    say(told)


def check(
    store: StorePath,
    against: Annotated[Path | None, typer.Option(
        help="Another store to compare with, such as last month's, in place of the older half.")] = None,
    rows: Annotated[int, typer.Option(help="Rows of each finding; of a table 3, if not given.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, which is the default.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="A table for eyes in place of JSON.")] = False,
) -> None:
    """Looks at the data first: duplicates, faults, bots, drift; exit code 4 if a training would be misled."""
    from rich.console import Console

    from mmrec.check import report as reports

    if as_json and plain:
        raise typer.BadParameter("--json and --plain exclude each other: choose one")
    with opened(store) as shop, opened(against) if against else nullcontext() as other:
        report = shop.check(other)
    if plain:
        tables = reports.tables_of(report, rows or reports.ROWS)
        Console(markup=False, emoji=False, highlight=False).print(*tables, sep="\n")
    else:
        say(report.as_dict(rows or reports.SHOWN))
    if report.misleading:
        raise typer.Exit(4)


def suggest(
    store: StorePath,
    item_ids: Annotated[list[str] | None, typer.Option(
        "--item-id", help="Item id; may be given several times. All items, if none is.")] = None,
    fields: Annotated[list[str] | None, typer.Option(
        "--field", help="Category; may be given several times. All categories, if none is.")] = None,
    least: Annotated[float, typer.Option(help="Certainty from which on a value is suggested.")] = 0.8,
    plain: Plain = False,
) -> None:
    """Values for categories that items lack, as their texts and pictures tell, the most certain first."""
    with opened(store) as shop:
        found = shop.suggest(item_ids, fields, least)
    if plain:
        show_table(["item", "field", "value", "certainty"], [
            [one.item_id, one.field, one.value, f"{one.certainty:.0%}"] for one in found
        ])
    else:
        say(*map(asdict, found))


def monitor(
    store: StorePath,
    since: Annotated[datetime | None, typer.Option(
        help="Start, in UTC. Default: a week ago, or a day ago by the hour.")] = None,
    window: Annotated[Literal["hour", "day"], typer.Option(
        help="Figures by the hour or by the day.")] = "day",
    explore: Annotated[list[float] | None, typer.Option(
        help="Estimate the click-through, had this share of slots gone to new items; several may be given."
    )] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Tables for eyes in place of JSON.")] = False,
) -> None:
    """Requests, latency, click-through, cold items and concentration over time; drift; what if.

    Reads the logs that `mmrec serve` keeps in the store, while it serves or afterwards.
    """
    from rich.console import Console

    from mmrec.monitor import report
    from mmrec.monitor.offpolicy import with_share

    with opened(store) as shop:
        policies = {f"explore {share:g}": with_share(share) for share in explore or ()}
        found = report.monitor(shop, since=since, window=window, policies=policies)
        if plain:
            Console(markup=False, highlight=False, width=150).print(*report.tables_of(found), sep="\n")
        else:
            say(found.as_dict())


def serve(
    store: StorePath,
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
            if gallery:  # in a thread, as some browsers block the process that opens them
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            with watching(shop) as watcher:
                run(create_app(shop, settings, watcher=watcher), settings, at)


def listen(settings: ServiceSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: the address is taken, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen at {settings.host}:{settings.port} ({error}): give another --host or --port"
        ) from None
    # Connections inherit it; asyncio sets it only for sockets that it made itself, and without it every
    # answer waits some 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(app: FastAPI, settings: ServiceSettings, listener: socket.socket) -> None:
    """Serves until a signal comes; SIGTERM ends the process in order."""
    import uvicorn

    release_freed_memory()
    for name in ("uvicorn", "python_multipart"):  # which warn of every malformed request
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=int(settings.timeout) + 1, ws="none",
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    # uvicorn raises SIGTERM again after the last answer; exiting in order then still writes the monitor's log
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    atexit.register(exit_if_busy, app.state.core.jobs)
    uvicorn.Server(config).run(sockets=[listener])


def release_freed_memory() -> bool:
    """Makes glibc return freed memory to the system sooner; tells whether that could be set.

    Every write makes new vectors in place of the old, tens of megabytes each. By default glibc raises its
    mapping threshold to the largest block that was freed, keeps smaller ones in its heaps, and has many
    heaps: a service that takes writes then holds far more than it needs.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    return bool(set_option(_MMAP_THRESHOLD, LARGE) and set_option(_ARENA_MAX, ARENAS))


def exit_if_busy(jobs: Jobs) -> None:
    """Ends the process at once if a job still runs inside a library, which would crash when Python ends."""
    if jobs.running:
        os._exit(0)


def _show_fit(report: FitReport) -> None:
    show_table(["situation", "head", "best baseline", "difference", "what serves"], [
        [one.situation, f"{one.head:.4f}", "{} {:.4f}".format(*one.best),
         str(one.difference or ""), one.serves]
        for one in report.verdicts
    ])
    serving = "the head serves" if report.served else "plain content serves on: it ranks better than the head"
    typer.echo(
        f"{report.interactions} wishes of {report.users} users for {report.items} items,"
        f" {report.seconds:.1f} s: {serving} (figures: ndcg@20 on a validation within the training)"
    )
