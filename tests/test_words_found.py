"""What words find: the rarest lead, all of them rank, and nothing that was typed is anything but text."""

from __future__ import annotations

from itertools import product

import pytest

from tests.words import Connection, found, products, put

TITLES = {
    "p1": "Adidas Samba black 44",
    "p2": "Adidas Gazelle red",
    "p3": "Nike Dunk red shoe",
    "p4": "Puma Suede black shoe",
    "p5": "Levi's 501 jeans, blue/black",
}


@pytest.fixture
def shop(connection: Connection) -> Connection:
    put(connection, TITLES)
    connection.execute("UPDATE imgsearch.product SET codes = '{B-75806,4006381333931}' WHERE product_id = 'p1'")
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    return connection


def test_all_the_words_stand_before_some_of_them(shop: Connection) -> None:
    rows = found(shop, "adidas samba 44")
    assert products(rows) == ["p1", "p2"]
    assert [(row.place, row.whole) for row in rows] == [(1, True), (2, False)]
    assert rows[0].lacks == 0 < rows[1].lacks < 1


def test_equal_is_equal(shop: Connection) -> None:
    assert {(row.product, row.place) for row in found(shop, "black")} == {("p1", 1), ("p4", 1), ("p5", 1)}


def test_ids_and_codes_are_found_whole_and_stand_first(shop: Connection) -> None:
    for words in ("B-75806", "b75806", "4006381333931", "400 6381 333931", "p1", "black B75806"):
        first = found(shop, words)[0]
        assert (first.product, first.exact, first.place) == ("p1", True, 1), words
    assert not any(row.exact for row in found(shop, "samba 44"))


def test_misspelt_words_are_mended(shop: Connection) -> None:
    for words in ("addidas sambba", "adiddas smaba", "adidas samb"):
        rows = found(shop, words)
        assert products(rows)[0] == "p1", words
        assert rows[0].whole, words
    assert products(found(shop, "levis jeens")) == ["p5"]
    assert found(shop, "45") == []


@pytest.mark.parametrize(
    ("title", "word"),
    [
        ("日本製の赤い靴です", "赤い靴"),
        ("เสื้อเชิ้ตผู้ชายสีน้ำเงินแขนยาว", "สีน้ำเงิน"),
        ("ເສື້ອຜູ້ຊາຍສີແດງແຂນຍາວ", "ສີແດງ"),
        ("អាវបុរសពណ៌ក្រហមដៃវែង", "ពណ៌ក្រហម"),
        ("အမျိုးသားအင်္ကျီအနီရောင်လက်ရှည်", "အနီရောင်"),
    ],
    ids=["Japanese", "Thai", "Lao", "Khmer", "Burmese"],
)
def test_scripts_without_spaces_are_found_by_a_word_from_the_middle(shop: Connection, title: str, word: str) -> None:
    put(shop, {"middle": title})
    shop.execute("SELECT imgsearch.refresh_vocabulary()")
    assert [(row.product, row.whole) for row in found(shop, word)] == [("middle", True)]


@pytest.mark.parametrize("others", [0, 40])
def test_one_letter_apart_is_mended_whichever_way(connection: Connection, others: int) -> None:
    """Put in, changed, swapped, left out: at each place behind the first, in whichever of many shops the word is."""
    names = ["fimalir", "junod", "tisujup", "mofavut", "sanun", "kelo"]
    for number in range(others):
        put(connection, {f"q{number}": "lamp"}, tenant=f"shop-{number:02}")
    put(connection, {name: f"{name} boot" for name in names}, tenant="the last")
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    for name, tenant in product(names, (None, "the last")):
        for n in range(1, len(name)):
            head, tail = name[:n], name[n:]
            slips = [f"{head}x{tail}", f"{head}x{tail[1:]}", f"{head}{tail[1:2]}{tail[:1]}{tail[2:]}"]
            slips += [head + tail[1:]] * (len(name) > 4)  # what is typed has four letters or more
            for slip in slips:
                asked = connection.execute("SELECT (imgsearch_internal.asked_words(%s, %s)).words", (tenant, slip))
                assert asked.fetchone() == ([name],), slip


@pytest.mark.parametrize(
    "words",
    [
        "",
        "   ",
        "!!!",
        "красная обувь",
        "赤い靴",
        "👟",
        "x" * 2000,
        "shoe & !'black | (",
        "a:*",
        "\\ ' \" \x01",
        "<-> :A",
        "word " * 400,
    ],
)
def test_what_is_typed_is_text(shop: Connection, words: str) -> None:
    assert all(row.product in TITLES for row in found(shop, words))


def test_filters_are_complete_and_tenants_apart(shop: Connection) -> None:
    put(shop, {"p1": "Adidas Samba black 44", "q": "Zebra"}, tenant="other", price=10)
    assert [(r.tenant, r.product) for r in found(shop, "samba")] == [("acme", "p1")]
    assert {(r.tenant, r.product) for r in found(shop, "samba", tenant=None)} == {("acme", "p1"), ("other", "p1")}
    assert found(shop, "zebra") == []
    assert found(shop, "samba", max_price=5, tenant="other") == []
    assert len(found(shop, "samba", max_price=50, tenant="other")) == 1


def test_a_word_of_all_shops_is_counted_beyond_what_is_looked_up(connection: Connection) -> None:
    for shop in ("one", "two"):
        put(connection, {f"p{n}": "red premium" if n % 5 else "lamp" for n in range(1600)}, tenant=shop)
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    connection.execute("ANALYZE imgsearch.product")
    for word in ("premium", "red"):
        asked = connection.execute(
            "SELECT (a).counts, (a).tells FROM imgsearch_internal.asked_words(NULL, %s) a", (word,)
        )
        assert asked.fetchone() == ([2560], [0])


def test_a_code_that_more_products_share_than_are_listed_is_found_behind_a_filter(connection: Connection) -> None:
    put(connection, {f"c{n}": "thing" for n in range(30)})
    connection.execute("UPDATE imgsearch.product SET codes = ARRAY['SHARED-12345']")
    connection.execute("UPDATE imgsearch.image SET price = CASE WHEN product_id = 'c29' THEN 7 ELSE 99 END")
    rows = connection.execute(
        "SELECT product_id FROM imgsearch_internal.words_found(imgsearch_internal.filter_sql("
        "imgsearch.filters_of('{\"max_price\": 10}')), NULL, 'SHARED-12345', 5) w WHERE w.exact"
    ).fetchall()
    assert rows == [("c29",)]
