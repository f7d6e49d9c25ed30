"""Flask: the extension inside an app of the shop's own, reached over HTTP."""

from __future__ import annotations

import io
from typing import Any

from flask import Flask, jsonify, request
from flask.testing import FlaskClient

from imgsearch.db.psycopg_connection import driver
from imgsearch.flask import ImageSearch
from imgsearch.query import ImageId
from tests.doors.counted import statements
from tests.doors.scenario import Answer, Item, Place, Question

images = ImageSearch()


def _client(place: Place) -> FlaskClient:
    app = Flask("shop")
    app.config.update(place.settings.environment())
    images.init_app(app)

    @app.post("/products/<product_id>")
    def create(product_id: str) -> Any:
        form = request.form
        values = {"tenant": form["tenant_id"], "category": form["category"], "price": float(form["price"])}
        return jsonify(images.add(request.files["photo"].read(), product_id=product_id, **values).image_id)

    @app.patch("/products/<product_id>")
    def change(product_id: str) -> Any:
        values = (request.form["price"], request.form["tenant_id"], product_id)
        statement = "UPDATE imgsearch.image SET price = %s WHERE tenant_id = %s AND product_id = %s"
        return jsonify(driver(images.connection).execute(statement, values).rowcount)

    @app.delete("/products/<product_id>")
    def delete(product_id: str) -> Any:
        return jsonify(images.remove(tenant=request.form["tenant_id"], product_id=product_id))

    @app.post("/search")
    def search() -> Any:
        asked = request.form.to_dict()
        query: Any = asked.pop("words", None) or ("like" in asked and ImageId(int(asked.pop("like"))))
        if not query:
            query = request.files["photo"].read()
        images.connection  # noqa: B018  # taken before the count begins
        filters: dict[str, Any] = {**asked}
        if "max_price" in filters:
            filters["max_price"] = float(filters["max_price"])
        with statements() as seen:
            hits = images.search(query, **filters)
        found = [(hit.image_id, hit.distance) for hit in hits]
        return jsonify(
            found=found, strategy=hits.strategy, statements=sum("imgsearch_internal.answer" in text for text in seen)
        )

    return app.test_client()


def add(place: Place, items: list[Item]) -> None:
    client = _client(place)
    for i in items:
        form = {"tenant_id": i.tenant_id, "category": i.category, "price": i.price}
        answer = client.post(f"/products/{i.product_id}", data=form | {"photo": (io.BytesIO(i.picture()), "p.png")})
        assert answer.status_code == 200, answer.text


def ask(place: Place, question: Question) -> Answer:
    data: dict[str, Any] = dict(question.filters)
    if isinstance(question.query, str):
        data["words"] = question.query
    elif isinstance(question.query, ImageId):
        data["like"] = question.query.image_id
    else:
        assert isinstance(question.query, bytes)
        data["photo"] = (io.BytesIO(question.query), "p.png")
    answer = _client(place).post("/search", data=data)
    assert answer.status_code == 200, answer.text
    return Answer([(i, d) for i, d in answer.json["found"]], answer.json["strategy"], answer.json["statements"])  # type: ignore[index]


def reprice(place: Place, item: Item, price: float) -> None:
    answer = _client(place).patch(f"/products/{item.product_id}", data={"price": price, "tenant_id": item.tenant_id})
    assert answer.json == 1


def remove(place: Place, item: Item) -> None:
    answer = _client(place).delete(f"/products/{item.product_id}", data={"tenant_id": item.tenant_id})
    assert len(answer.json) == 1  # type: ignore[arg-type]
