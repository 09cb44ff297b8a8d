"""The double as a process of its own: prints its base addresses, answers until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path

from . import Catalogue, Double


def main() -> None:
    """Serve."""
    ask = argparse.ArgumentParser(prog="python -m tests.double", description=__doc__)
    ask.add_argument("--papers", type=int, default=1_000)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--page", type=int, default=2_500, help="records on a page")
    ask.add_argument("--identifiers", type=int, default=20_000, help="headers on a page")
    ask.add_argument("--port", type=int, default=0, help="the first of four ports in a row; any free ones without it")
    ask.add_argument("--port-file", type=Path, help="written once all servers answer: JSON, name to address")
    ask.add_argument("--log-file", type=Path, help="a JSON line for each request that is over")
    ask.add_argument("--weather", type=float, default=0.0, metavar="SHARE", help="share of requests that go wrong")
    args = ask.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    catalogue = Catalogue(args.papers, seed=args.seed)
    with Double(
        catalogue, page=args.page, identifiers=args.identifiers, port=args.port, log_file=args.log_file
    ) as double:
        if args.weather:
            double.faults.weather(args.weather, args.seed)
        for name in ("oai", "query", "snapshot"):
            print(f"{name:8} {double.urls[name]}", flush=True)
        if args.port_file:
            partial = args.port_file.with_name(f"{args.port_file.name}.part")
            partial.write_text(json.dumps(double.urls), "utf-8")
            partial.replace(args.port_file)
        stopped.wait()


if __name__ == "__main__":
    main()
