"""The extension: what a Flask app calls, and the apps that `imgsearch serve` and tests make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack, cast

from flask import Flask, current_app, g

from imgsearch import retrieval as searching
from imgsearch.db.psycopg_connection import Connectable
from imgsearch.flask import prefix
from imgsearch.http import blueprint
from imgsearch.http.identity import Identity
from imgsearch.http.state import EXTENSION, AppState, app_state
from imgsearch.ingest import changes, upload
from imgsearch.ingest.changes import Changed
from imgsearch.ingest.upload import Added, ImageFields, Picture, Which
from imgsearch.query import Query, Resolved
from imgsearch.query.question import Thing, cropped
from imgsearch.query.resolution import look_up
from imgsearch.retrieval import Filters, Hits, Ranking
from imgsearch.retrieval.by_filters import SearchArguments
from imgsearch.retrieval.rerank import Given, Rerank
from imgsearch.settings import load_settings
from imgsearch.storage import Store

Identify = Callable[[], Identity | None]


class ImageSearch:
    """Image search in a Flask app: `ImageSearch(app)`, or `ImageSearch()` and `init_app(app)` in a factory.

    The HTTP API and, unless `page=False`, the page are mounted under `url_prefix`. `identify` says who may use them: it
    is called in each request and returns an Identity, or None to refuse; without it, requests need a key
    (`imgsearch key create`).
    One object may serve several apps; what belongs to an app lives in `app.extensions["imgsearch"]`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        url_prefix: str = "/imgsearch",
        identify: Identify | None = None,
        page: bool = True,
    ) -> None:
        self._url_prefix, self._identify, self._page = url_prefix, identify, page
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Mount page and API; read IMGSEARCH_… from `app.config`, else from the environment.

        Opens nothing: connections are made by the first request that needs one. Raises SettingsError.
        """
        given = {key: str(value) for key, value in app.config.items() if key.startswith("IMGSEARCH_")}
        settings = load_settings(given)
        app.extensions[EXTENSION] = AppState(settings, identify=self._identify, url_prefix=self._url_prefix)
        app.register_blueprint(blueprint.make(settings, self._url_prefix), url_prefix=self._url_prefix or None)
        if self._page:
            from imgsearch.page import blueprint as page  # a host that wants the API alone never loads it

            app.register_blueprint(page.make(), url_prefix=self._url_prefix or None)
        app.teardown_appcontext(_end_of_request)

    @property
    def connection(self) -> Connectable:
        """The request's connection: the host's SQLAlchemy session where the app has one, else one of our own.

        Ours is committed at the end of a request that succeeds, and rolled back otherwise.
        """
        host = current_app.extensions.get("sqlalchemy")
        session = getattr(host, "session", None)
        if session is not None:  # Flask-SQLAlchemy and Flask-SQLAlchemy-Lite alike; the caller commits, as always there
            return cast("Connectable", session)
        if "imgsearch_lent" not in g:
            manager = app_state().primary.session(None, writes=True)
            g.imgsearch_lent = (manager, manager.__enter__())
        return cast("Connectable", g.imgsearch_lent[1])

    @property
    def store(self) -> Store:
        """The app's picture store."""
        return app_state().store

    def put(self, picture: Picture) -> str:
        """Store a picture and return its address, for a table of yours that is attached.

        Raises PictureError for what no worker could ever decode, StoreError.
        """
        return app_state().own_store.put(upload.inspected(picture).data)

    def search(
        self,
        query: Query,
        *,
        filters: Filters | None = None,
        ranking: Ranking | None = None,
        k: int = 10,
        skip: int = 0,
        after: str | None = None,
        max_distance: float | None = None,
        timeout: float | None = None,
        region: Sequence[float] | None = None,
        rerank: Rerank | Given | Sequence[Given] | None = None,
        **named: Unpack[SearchArguments],
    ) -> Hits:
        """Search on the request's connection; see `imgsearch.search`. `timeout`: IMGSEARCH_QUERY_TIMEOUT.

        Raises Busy as well, where as many threads of yours wait for a query worker as may, and NoQueryWorker.
        """
        page: dict[str, Any] = {"k": k, "skip": skip, "after": after, "max_distance": max_distance}
        query = shown = cropped(query, region)
        tenant = named.get("tenant") or (filters.tenant if filters else None)
        weight = named.get("look_weight", ranking.look_weight if ranking else None)
        if weight == 0 or named.get("space") or (ranking and ranking.space):  # nobody is asked, or each model
            pass
        elif isinstance(query, list | tuple) and query and isinstance(query[0], tuple):
            query = [
                (self._resolved(cast("Thing", one[0]), tenant, timeout), one[1]) for one in cast("list[Any]", query)
            ]
        else:
            query = self._resolved(cast("Thing", query), tenant, timeout)
        if rerank is not None:  # its steps see the picture itself; the vector is known by now
            page, query = page | {"rerank": rerank, "rerank_timeout": app_state().settings.rerank_timeout}, shown
        return searching.search(self.connection, query, filters=filters, ranking=ranking, **page, **named)

    def _resolved(self, thing: Thing, tenant: str | None, timeout: float | None) -> Resolved:
        found = look_up(self.connection, thing, tenant=tenant)
        return found if isinstance(found, Resolved) else app_state().waiting.ask(found, timeout)

    def add(self, picture: Picture, **fields: Unpack[ImageFields]) -> Added:
        """Add an image on the request's connection, in its transaction; see `imgsearch.add`."""
        return upload.add(self.connection, picture, settings=app_state().settings, **fields)

    def change(self, **what: Any) -> Changed:
        """Change what is stored beside images, on the request's connection; see `imgsearch.change`."""
        return changes.change(self.connection, **what)

    def remove(self, **which: Unpack[Which]) -> list[int]:
        """Delete images on the request's connection; see `imgsearch.remove`."""
        return upload.remove(self.connection, **which)


def create_app(given: Mapping[str, str] | None = None, *, allow_anonymous: bool = False) -> Flask:
    """Make the app that `imgsearch serve` runs: the page at /, the API at /v1.

    `given`: settings over those of the environment. `allow_anonymous`: no keys, and only requests of this very machine.
    """
    app = Flask("imgsearch", static_folder=None, template_folder=None)
    app.config.update({f"IMGSEARCH_{key.removeprefix('IMGSEARCH_')}": value for key, value in (given or {}).items()})
    ImageSearch(app, url_prefix="")
    state: AppState = app.extensions[EXTENSION]
    if templates := state.settings.page_templates:
        app.template_folder = str(templates)
    state.allow_anonymous = allow_anonymous
    if proxies := state.settings.trusted_proxies:
        from werkzeug.middleware.proxy_fix import ProxyFix

        fixed = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_prefix=proxies)
        app.wsgi_app = prefix.believe_paths_alone(fixed)  # type: ignore[assignment,method-assign]
    from imgsearch.page import blueprint as page

    app.register_error_handler(Exception, page.failed_anywhere)  # also where no route was found
    app.after_request(blueprint.after)
    return app


def _end_of_request(error: BaseException | None) -> None:
    lent = g.pop("imgsearch_lent", None)
    if lent is not None:
        lent[0].__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
