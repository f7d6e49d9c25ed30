"""Wagtail's images that somebody may choose, ranked by what they look like."""

from __future__ import annotations

from typing import Any

from wagtail.images import get_image_model
from wagtail.permissions import policy_registry

from imgsearch.django import image_search


def images(user: Any) -> Any:
    """Return the images that an editor may choose, with `similar_to()`."""
    policy = policy_registry.get_by_type(get_image_model())
    return image_search(policy.instances_user_has_any_permission_for(user, ["choose"]))
