"""Files of judgements: by hand, from purchases and clicks, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.errors import JudgementError
from imgsearch.evaluation.judged import read
from imgsearch.query import ImageId, ProductId


def written(folder: Path, text: str) -> Path:
    path = folder / "judged.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_one_question_are_one(tmp_path: Path) -> None:
    found = read(written(tmp_path, "text,product_id,grade\nred shoe,a,2\nred shoe,b,0\nblue,a,1\n"))
    assert found.per == "product"
    assert [(one.query, dict(one.grades)) for one in found.questions] == [
        ("red shoe", {"a": 2.0, "b": 0.0}),
        ("blue", {"a": 1.0}),
    ]


def test_a_purchase_counts_more_than_a_click_and_the_best_of_several_counts(tmp_path: Path) -> None:
    text = "text,product_id,event\nshoe,a,view\nshoe,a,purchase\nshoe,a,click\nshoe,b,click\nshoe,c,view\n"
    [one] = read(written(tmp_path, text)).questions
    assert dict(one.grades) == {"a": 3.0, "b": 1.0, "c": 0.0}


def test_pictures_images_and_products_ask_too(tmp_path: Path) -> None:
    text = "picture,query_image_id,query_product_id,image_id,fits\nq.jpg,,,1,1\n,7,,2,yes\n,,p,3,0\n"
    found = read(written(tmp_path, text))
    assert found.per == "image"
    assert [one.query for one in found.questions] == [tmp_path / "q.jpg", ImageId(7), ProductId("p")]
    assert [one.called for one in found.questions] == ["q.jpg", "image 7", "product p"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("text,product_id,grade\nx,a,NaN\n", "line 2: grade is 'NaN'; write a number from 0"),
        ("text,product_id,grade\nx,a,-1\n", "write a number from 0"),
        ("text,product_id,grade\nx,a,1e9\n", "write a number from 0"),
        ("text,product_id,fits\nx,a,maybe\n", "write 1 or 0"),
        ("text,product_id,event\nx,a,dance\n", "purchase, cart, click, view"),
        ("text,product_id,grade\n,a,1\n", "ask one thing"),
        ("text,picture,product_id,grade\nx,y,a,1\n", "ask one thing"),
        ("text,product_id,grade\nx,,1\n", "say what is judged, in product_id"),
        ("text,image_id,grade\nx,abc,1\n", "say what is judged, in image_id"),
        ("query_image_id,product_id,grade\nabc,a,1\n", "query_image_id is a whole number"),
        ("text,product_id,grade\nx,a,1,2,3\n", "ask one thing"),
        ("text,product_id,image_id,grade\nx,a,1,1\n", "needs a column"),
        ("text,product_id,grade,fits\nx,a,1,1\n", "needs a column"),
        ("text,product_id\nx,a\n", "needs a column"),
        ("text,product_id,stars\nx,a,1\n", "unknown column 'stars'"),
        ("", "needs a column"),
        ("text,product_id,grade\n", "holds no judgement"),
        ("text,product_id,grade\nx,a,0\n", "nothing fits any question"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(JudgementError, match=said):
        read(written(tmp_path, text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(JudgementError, match="cannot be read"):
        read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"text,product_id,grade\n\xff\xfe,a,1\n")
    with pytest.raises(JudgementError, match="UTF-8"):
        read(tmp_path / "binary.csv")


def test_the_largest_file_is_read_and_one_question_more_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"q{n},p{n % 7},1\n" for n in range(20_000))
    assert len(read(written(tmp_path, f"text,product_id,grade\n{lines}")).questions) == 20_000
    with pytest.raises(JudgementError, match="20,001 questions"):
        read(written(tmp_path, f"text,product_id,grade\n{lines}one more,p,1\n"))
    monkeypatch.setattr("imgsearch.evaluation.judged.MOST", 3)
    with pytest.raises(JudgementError, match="more than 3 judgements"):
        read(written(tmp_path, "text,product_id,grade\nx,a,1\nx,b,1\nx,c,1\nx,d,1\n"))
