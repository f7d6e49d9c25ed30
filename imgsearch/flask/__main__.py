"""`python -m imgsearch.flask`: what `imgsearch serve` becomes."""

from __future__ import annotations

import argparse
import sys

from imgsearch.errors import ImgsearchError
from imgsearch.flask.serving import serve


def main() -> None:
    """Serve; an error of ours is one line and its exit code."""
    parser = argparse.ArgumentParser(prog="imgsearch serve", description="Serve the page and the HTTP API.")
    parser.add_argument("--bind", help="host:port; else IMGSEARCH_HTTP_BIND")
    parser.add_argument("--threads", type=int, help="requests worked on at once; else IMGSEARCH_HTTP_THREADS")
    parser.add_argument("--metrics", metavar="[HOST:]PORT", help="answer /metrics there, without a key (127.0.0.1)")
    given = parser.parse_args()
    try:
        serve(given.bind, given.threads, given.metrics)
    except ImgsearchError as error:
        print(f"imgsearch: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
