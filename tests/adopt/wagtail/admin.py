"""Wagtail's own admin, used as a browser uses it: each function is one way in which it writes images."""

from __future__ import annotations

from typing import Any

from tests.adopt.looking import photo


class Admin:
    """A client that is logged in as somebody who may use everything."""

    def __init__(self) -> None:
        from django.contrib.auth import get_user_model
        from django.test import Client
        from wagtail.models import Collection

        self.user = get_user_model().objects.create_superuser("boss", "boss@example.com", "secret")
        self.client = Client()
        self.client.force_login(self.user)
        self.root = Collection.get_first_root_node()

    def post(self, view: str, /, *args: Any, query: str = "", ajax: bool = False, **values: Any) -> Any:
        """Send a form to a view of the admin; it was taken."""
        from django.urls import reverse

        headers = {"X-Requested-With": "XMLHttpRequest"} if ajax else {}
        answer = self.client.post(reverse(view, args=args) + query, values, headers=headers)
        if ajax:
            assert answer.json()["success"], answer.json()
        else:
            forms = answer.context and answer.context.get("form")
            assert answer.status_code == 302, (answer.status_code, forms and forms.errors)
        return answer

    def add(self, title: str, collection: Any, *colour: int) -> Any:
        """Add one image with the form."""
        self.post("wagtailimages:add", title=title, collection=collection.pk, file=photo(*colour), tags="")
        return self.image(title)

    def add_of_many(self, title: str, collection: Any, *colour: int) -> Any:
        """Add one of several that were dropped onto the page."""
        values = {"files[]": photo(*colour), "title": title, "collection": collection.pk}
        self.post("wagtailimages:add_multiple", ajax=True, **values)
        return self.image(title)

    def edit_of_many(self, image: Any, title: str, collection: Any) -> None:
        """Fill in the form that the page shows under such an upload."""
        values = {"title": title, "collection": collection.pk, "tags": ""}
        named = {f"image-{image.pk}-{name}": value for name, value in values.items()}
        self.post("wagtailimages:edit_multiple", image.pk, ajax=True, **named)

    def choose(self, title: str, collection: Any, *colour: int) -> Any:
        """Upload an image in the chooser of a page that is being written."""
        from django.urls import reverse

        names = {"title": title, "collection": collection.pk, "file": photo(*colour), "tags": ""}
        values = {f"image-chooser-upload-{name}": value for name, value in names.items()}
        answer = self.client.post(reverse("wagtailimages_chooser:create"), values)
        assert answer.json()["step"] == "chosen", answer.content
        return self.image(title)

    def edit(self, image: Any, **changes: Any) -> None:
        """Change an image's title, collection or file."""
        values = {"title": image.title, "collection": image.collection_id, "tags": ""}
        self.post("wagtailimages:edit", image.pk, **values | changes)

    def at_once(self, action: str, images: list[Any], **values: Any) -> None:
        """Tick images in the listing and choose a bulk action."""
        query = "?" + "&".join(f"id={image.pk}" for image in images)
        self.post("wagtail_bulk_action", "wagtailimages", "image", action, query=query, **values)

    def collection(self, name: str, parent: Any) -> Any:
        """Make a collection."""
        from wagtail.models import Collection

        self.post("wagtailadmin_collections:add", name=name, parent=parent.pk)
        return Collection.objects.get(name=name)

    def image(self, title: str) -> Any:
        from wagtail.images import get_image_model

        return get_image_model().objects.get(title=title)
