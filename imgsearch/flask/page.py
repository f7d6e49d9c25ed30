"""The page: nothing yet but where its errors are shown."""

from __future__ import annotations

from flask import Blueprint, Response

from imgsearch.flask.problem import Problem, response


def mount(blueprint: Blueprint) -> None:
    """Add the routes of the page."""


def is_page() -> bool:
    """Answer whether a person looks at this answer."""
    return False


def failed(found: Problem) -> Response:
    """Answer an error."""
    return response(found)
