"""The admin: states, search by words and by picture, similar rows, embedding again."""

from __future__ import annotations

import re

from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from imgsearch.db.psycopg_connection import driver
from imgsearch.dev.testing import FakeEncoder
from imgsearch.django import add
from imgsearch.django.models import Image, Job
from imgsearch.query import cache
from tests.django import filling
from tests.django.filling import photo, point
from tests.django.shop.models import Product, Tag

SHOP = "/admin/shop/product/"
PICTURES = "/admin/imgsearch/image/"


def answer(asked: cache.Entry, vector: list[float]) -> None:
    """Return a question as a query worker would, in this test's transaction."""
    lent = driver(connection)
    cache.ask(lent, asked)
    for claimed in cache.claim(lent, filling.space().space_id, 10):
        cache.answer(lent, filling.space().space_id, claimed, vector)


class InTheAdmin(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        filling.space()
        cls.products = [filling.product(filling.shop(), name=f"shoe {n}", price=n + 1) for n in range(8)]
        for n, product in enumerate(cls.products[:7]):
            add(product, photo(n * 30, 0, 0))
        filling.embed_waiting(lambda product, _: point(0.1 * (int(product) - cls.products[0].pk), 0))
        answer(cache.of_text("red shoe"), FakeEncoder().embed_texts(["red shoe"])[0].tolist())

    def setUp(self) -> None:
        self.client.force_login(User.objects.create_superuser("admin"))

    def names(self, page: str) -> list[str]:
        return re.findall(r">(shoe \d)</a>", page)

    def get(self, url: str) -> str:
        response = self.client.get(url)
        assert response.status_code == 200
        return response.content.decode()

    def test_a_column_says_the_state(self) -> None:
        page = self.get(SHOP)
        assert page.count(">ready<") == 7
        assert page.count(">none<") == 1

    def test_search_by_words_ranks_the_changelist(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            found = self.names(self.get(SHOP + "?q=red+shoe"))
        ranked = [row.name for row in Product.objects.similar_to("red shoe")]
        assert found == ranked
        assert len(found) == 7
        assert sum('AS "distance"' in query["sql"] for query in queries) == 1
        assert "empty" in self.get(SHOP + "?q=%2C")

    def test_a_date_hierarchy_and_a_filter_over_many_stand_beside_a_search(self) -> None:
        for n, product in enumerate(self.products):
            Product.objects.filter(pk=product.pk).update(added=f"2026-0{n + 1}-01")
            product.tags.set([Tag.objects.get_or_create(name=name)[0] for name in ("red", "green")])
        page = self.get(SHOP + "?q=red+shoe")
        assert len(self.names(page)) == 7
        assert page.count("?added__month=") == page.count("added__year=2026") == 7
        one = self.get(SHOP + "?q=red+shoe&added__year=2026&added__month=3")
        assert self.names(one) == ["shoe 2"]
        tagged = self.get(f"{SHOP}?q=red+shoe&tags__id__in={','.join(str(tag.pk) for tag in Tag.objects.all())}")
        assert self.names(tagged) == self.names(page)

    def test_search_by_picture_has_an_address(self) -> None:
        content = photo(5, 5, 5)
        answer(cache.of_picture(content), point(0.6, 0))
        response = self.client.post(SHOP + "by-picture/", {"picture": SimpleUploadedFile("p.jpg", content)})
        assert response.status_code == 302
        assert self.names(self.get(response["Location"]))[:3] == ["shoe 6", "shoe 5", "shoe 4"]
        assert self.client.get(SHOP + "by-picture/").status_code == 302
        assert "upload the picture again" in self.get(SHOP + "?q=picture:00ff")
        assert "upload it again" in self.get(SHOP + "?q=picture:nonsense")

    def test_a_stranger_cannot_search_by_picture(self) -> None:
        self.client.logout()
        response = self.client.post(SHOP + "by-picture/", {"picture": SimpleUploadedFile("p.jpg", b"x")})
        assert "login" in response["Location"]
        self.client.force_login(User.objects.create_user("clerk", is_staff=True))
        assert self.client.post(SHOP + "by-picture/").status_code == 403

    def test_a_change_page_shows_similar_rows(self) -> None:
        page = self.get(f"{SHOP}{self.products[3].pk}/change/")
        similar = page.split("imgsearch-similar")[1]
        assert set(self.names(similar)[:2]) == {"shoe 2", "shoe 4"}
        assert len(self.names(similar)) == 6
        assert "no embedded image" in self.get(f"{SHOP}{self.products[7].pk}/change/")

    def test_embed_again(self) -> None:
        chosen = [product.pk for product in self.products[:3]]
        response = self.client.post(SHOP, {"action": "embed_again", "_selected_action": chosen}, follow=True)
        assert "3 images wait" in response.content.decode()
        assert Job.objects.filter(state="pending").count() == 3
        assert len(self.names(self.get(SHOP + "?q=red+shoe"))) == 7, "they stay searchable meanwhile"
        assert filling.embed_waiting(lambda *_: point(0, 0)) == 3

    def test_who_may_only_view_embeds_nothing_again(self) -> None:
        clerk = User.objects.create_user("clerk", is_staff=True)
        clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_image", "view_product"]))
        self.client.force_login(clerk)
        for page, key in ((SHOP, self.products[0].pk), (PICTURES, Image.objects.first().pk)):
            assert "embed_again" not in self.get(page)
            self.client.post(page, {"action": "embed_again", "_selected_action": [key]})
            assert not Job.objects.exists()

    def test_pictures_and_their_states(self) -> None:
        Job.objects.create(
            image=Image.objects.first(), tenant_id="acme", space_id=1, state="failed", error_code="broken",
            error="it is cut off",
            due="2026-01-01T00:00Z", created_at="2026-01-01T00:00Z",
        )  # fmt: skip
        assert "broken: it is cut off" in self.get(PICTURES + "?state=failed")
        assert self.get(PICTURES + "?state=ready").count('name="_selected_action"') == 6
        assert self.get(PICTURES + "?q=red+shoe").count('name="_selected_action"') == 7
        failed = [Image.objects.first().pk]
        self.client.post(PICTURES, {"action": "embed_again", "_selected_action": failed})
        assert Job.objects.get().state == "pending"
        self.get(f"{PICTURES}{failed[0]}/change/")

    def test_what_consoles_show(self) -> None:
        with connection.cursor() as cursor:  # a row that could not be followed is no image
            cursor.execute(
                "INSERT INTO imgsearch.attachment (name, query, prefix, key_columns, key_types, mapping, resolved)"
                " VALUES ('x', 'SELECT 1', 'x:', '{id}', '{integer}', '{}', '{}')"
            )
            cursor.execute(
                "INSERT INTO imgsearch.attachment_failure (attachment_id, key, product_id, error_code, error)"
                " SELECT attachment_id, '1', 'x:1', '22012', 'no price' FROM imgsearch.attachment"
            )
        for name in ("status", "space", "failure"):
            said = self.get(f"/admin/imgsearch/{name}/")
        assert "not_followed" in said
        assert "no price" in said
