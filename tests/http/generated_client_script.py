"""Run by test_generated_client in the generator's own environment: what a program that uses the client writes.

Arguments: address, key, and a folder of JPEGs called by their colours. Prints what it found as JSON.
"""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import generated_client
from generated_client import AuthenticatedClient, Client, models
from generated_client.api.images import (
    bulk_images,
    change_image,
    change_product,
    delete_image,
    delete_product,
    get_image,
    list_images,
    upload_images,
)
from generated_client.api.operation import get_health, get_status
from generated_client.api.search import embed, embed_upload, list_choices, search_images, search_images_by_upload
from generated_client.types import File


def main(address: str, key: str, folder: Path) -> dict[str, Any]:
    modules = [one.name for one in pkgutil.walk_packages(generated_client.__path__, "generated_client.")]
    for name in modules:
        importlib.import_module(name)
    client = AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True, timeout=60)
    pictures = sorted(folder.glob("*.jpg"))

    def file(path: Path) -> File:
        return File(payload=io.BytesIO(path.read_bytes()), file_name=path.name, mime_type="image/jpeg")

    listed = [
        models.ImageFields(product_id=path.stem, price=9.5, attributes=models.Attributes.from_dict({"ink": path.stem}))
        for path in pictures
    ]
    form = models.ImagesForm(picture=[file(path) for path in pictures], request=models.AddFiles(images=listed))
    added = upload_images.sync(client=client, body=form)
    ids = [one.image_id for one in added.images]
    deadline = time.monotonic() + 120
    while any(get_image.sync(one, client=client).state != models.ImageState.READY for one in ids):
        assert time.monotonic() < deadline, "the pictures did not become ready"
        time.sleep(0.1)

    pages, after = [], generated_client.types.UNSET
    while True:
        asked = models.Search(text="red paint", k=2, after=after)
        page = search_images.sync(client=client, body=asked)
        if not page.rows:
            break
        pages.append([row.product_id for row in page.rows])
        after = page.after
    narrow = models.AttributeFilters.from_dict({"ink": ["blue", "green"]})
    filtered = search_images.sync(client=client, body=models.Search(text="red paint", attributes=narrow))
    by_file = models.SearchForm(picture=file(folder / "green.jpg"), request=models.SearchFields(k=1))
    nearest = search_images_by_upload.sync(client=client, body=by_file)
    first, second = (
        embed.sync(client=client, body=models.Embed(text="red paint")),
        embed_upload.sync(client=client, body=models.EmbedForm(picture=file(folder / "red.jpg"))),
    )
    facets = models.WantedFacets(category=True, price=[0, 5], attributes=["ink"])
    counted = search_images.sync(
        client=client, body=models.Search(text="red paint", per=models.Per.PRODUCT, facets=facets)
    )
    choices = list_choices.sync(
        client=client, body=models.Choices(facet=models.ChoicesFacet.ATTRIBUTE, name="ink", contains="e")
    )
    changed = change_product.sync("green", client=client, body=models.ProductChanges(price=3.0, title="Green paint"))
    image = change_image.sync(ids[0], client=client, body=models.ImageChanges(in_stock=False))
    lines = [{"action": "change", "product_id": "red", "price": 1}, {"action": "delete", "product_id": "none"}, {}]
    sent = "\n".join(map(json.dumps, lines)).encode()
    bulk = bulk_images.sync(client=client, body=File(payload=io.BytesIO(sent)))
    outcomes = [models.Outcome.from_dict(json.loads(line)) for line in bulk.payload.read().splitlines()]
    listed = list_images.sync(client=client, k=2, state=models.ListImagesState.READY)
    removed = delete_product.sync_detailed("green", client=client)
    gone = delete_image.sync_detailed(ids[0], client=client)
    problem = get_image.sync_detailed(ids[0], client=client)
    refused = search_images.sync_detailed(client=client, body=models.Search())
    return {
        "modules": len(modules),
        "outcomes": [one.outcome for one in added.images],
        "pages": pages,
        "filtered": sorted(row.product_id for row in filtered.rows),
        "nearest": [row.product_id for row in nearest.rows],
        "dimensions": [len(first.vector), second.dimension],
        "deleted": gone.status_code,
        "bands": [(one.low, one.count) for one in counted.facets.price],
        "inks": {name: len(values) for name, values in counted.facets.attributes.additional_properties.items()},
        "choices": sorted(one.value for one in choices.values),
        "changed": [changed.changed, changed.words, image.in_stock],
        "bulk": [one.outcome for one in outcomes],
        "listed": len(listed.images),
        "removed": removed.status_code,
        "problem": [problem.status_code, problem.parsed.code],
        "refused": [refused.status_code, refused.parsed.code],
        "images": get_status.sync(client=client).images,
        "alive": get_health.sync(client=Client(base_url=address)).alive,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
