"""What imgsearch refuses, as an answer: 400 with the reason where a view, or Django REST framework, would answer 500.

    MIDDLEWARE = [..., "imgsearch.django.refusals.Refusals"]
    REST_FRAMEWORK = {"EXCEPTION_HANDLER": "imgsearch.django.refusals.exception_handler"}

One of the two is enough: the handler answers in the format that the client asked for, the middleware in JSON.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.http import JsonResponse

from imgsearch.errors import ImgsearchError

_log = logging.getLogger("imgsearch.django")


class Refusals:
    """Middleware: an ImgsearchError that a view lets through becomes an answer with its status."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_exception(self, request: Any, error: Exception) -> JsonResponse | None:
        if not isinstance(error, ImgsearchError):
            return None
        status, said, headers = answer(error)
        return JsonResponse(said, status=status, headers=headers)


def exception_handler(error: Exception, context: Any) -> Any:
    """Return the response to an ImgsearchError in Django REST framework; all others have that of its own handler."""
    from rest_framework.response import Response
    from rest_framework.views import exception_handler as others
    from rest_framework.views import set_rollback

    if not isinstance(error, ImgsearchError):
        return others(error, context)
    set_rollback()
    status, said, headers = answer(error)
    return Response(said, status=status, headers=headers)


def answer(error: ImgsearchError) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return status, body and headers. From 500 on the message may name hosts and folders: it goes to the log alone."""
    status = error.http_status
    if status >= 500:
        _log.error("%s: %s", type(error).__name__, error)
    said = str(error) if status < 500 else (type(error).__doc__ or "").strip()
    headers = {"Retry-After": str(int(error.retry_after))} if error.retry_after else {}
    return status, {"code": type(error).__name__, "detail": said}, headers
