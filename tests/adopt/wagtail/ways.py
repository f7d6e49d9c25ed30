"""Every way in which Wagtail's own admin writes images and collections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.adopt.looking import photo
from tests.adopt.wagtail.admin import Admin

# Wagtail does these by update(), or changes another table: no signal of an image is sent.
UNSEEN = {"a bulk move to another collection", "a collection is renamed"}
UNSEEN_OF_PATHS = {"a collection is made before another", "a collection is moved in the tree", *UNSEEN}


def ways(admin: Admin) -> Iterator[str]:
    """Do one after another; yield what was done."""
    root = admin.root
    boats = admin.collection("Boats", root)
    admin.add("Ship", boats, 30, 30, 30)
    birds = admin.collection("Birds", root)
    yield "a collection is made before another"
    red = admin.add("Red", birds, 250, 0, 0)
    yield "an image is added"
    blue = admin.add_of_many("Blue", birds, 0, 0, 250)
    green = admin.add_of_many("Green", birds, 0, 250, 0)
    yield "several are added at once"
    admin.edit_of_many(green, "Green, too", boats)
    yield "the form under an upload is filled in"
    chosen = admin.choose("Chosen", boats, 200, 200, 0)
    yield "an image is uploaded in a page's chooser"
    admin.edit(red, title="Red bird")
    yield "the title is changed"
    admin.edit(red, title="Red bird", collection=boats.pk)
    yield "the collection is changed"
    admin.edit(blue, file=photo(0, 200, 250))
    yield "the file is replaced"
    admin.at_once("add_tags", [blue, green], tags="sea, sky")
    yield "tags are added in bulk"
    admin.at_once("add_to_collection", [red, blue], collection=birds.pk)
    yield "a bulk move to another collection"
    admin.post("wagtailadmin_collections:edit", birds.pk, name="Fowl", parent=root.pk)
    yield "a collection is renamed"
    admin.post("wagtailadmin_collections:edit", birds.pk, name="Fowl", parent=boats.pk)
    yield "a collection is moved in the tree"
    admin.post("wagtailimages:delete_multiple", green.pk, ajax=True)
    yield "the form under an upload deletes"
    admin.post("wagtailimages:delete", red.pk)
    yield "an image is deleted"
    admin.at_once("delete", [blue])
    yield "a bulk deletion"
    admin.post("wagtailadmin_collections:delete", birds.pk)
    yield "an empty collection is deleted"
    admin.at_once("delete", [chosen, admin.image("Ship")])
    admin.post("wagtailadmin_collections:delete", boats.pk)
    yield "the rest is deleted"


def rows(tenant: str) -> list[tuple[Any, ...]]:
    """Return what Wagtail has: tenant (collection_id, or collection__path), key, name of the collection, title."""
    from wagtail.images import get_image_model

    shown = get_image_model().objects.values_list(tenant, "pk", "collection__name", "title")
    return sorted((str(tenant), str(pk), name, title) for tenant, pk, name, title in shown)
