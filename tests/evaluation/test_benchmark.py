"""The files of published benchmarks, written here as they are handed out, and the figures they must give."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import JudgementError
from imgsearch.evaluation import benchmark
from imgsearch.evaluation.crop import cropped
from imgsearch.evaluation.judged import Box
from imgsearch.evaluation.places import Places

RANKED = ["j1", "e1", "x1", "h1", "e2", "x2", "j2", "h2", "x3", "e3"]
NAMES = ["e1", "e2", "e3", "h1", "h2", "j1", "j2", "x1", "x2", "x3"]
LISTS = {"easy": [0, 1, 2], "hard": [3, 4], "junk": [5, 6]}


def truth(folder: Path, *, protocol: int = 2, arrays: bool = True) -> Path:
    lists = {name: np.array(places) if arrays else places for name, places in LISTS.items()}
    said = {"imlist": NAMES, "qimlist": ["q"], "gnd": [{"bbx": [10.0, 20.0, 30.5, 60.0], **lists}]}
    path = folder / "gnd_roxford5k.pkl"
    path.write_bytes(pickle.dumps(said, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("arrays", [True, False])
def test_revisited_oxford_gives_the_figures_of_its_own_code(tmp_path: Path, protocol: int, arrays: bool) -> None:
    made = benchmark.read("revisited", truth(tmp_path, protocol=protocol, arrays=arrays), tmp_path)
    [question] = made.questions
    assert question.query == tmp_path / "q.jpg"
    assert question.box == Box(10, 20, 30.5, 60)
    found = {name: measure(Places(ranked=RANKED, best=[]), question) for name, measure in made.measures.items()}
    assert [found[f"mAP {setup}"] for setup in ("easy", "medium", "hard")] == pytest.approx(
        [0.677778, 0.704643, 0.333333], abs=1e-6
    )
    assert [found[f"mP@{k} hard"] for k in (1, 5, 10)] == pytest.approx([0, 0.5, 0.5])


def test_a_setup_in_which_nothing_fits_is_left_out_not_counted_as_a_miss(tmp_path: Path) -> None:
    said = {"imlist": NAMES, "qimlist": ["q"], "gnd": [{"bbx": None, "easy": [0], "hard": [], "junk": []}]}
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(said))
    made = benchmark.read("revisited", path, tmp_path)
    assert math.isnan(made.measures["mAP hard"](Places(ranked=RANKED, best=[]), made.questions[0]))
    assert made.measures["mAP easy"](Places(ranked=["e1"], best=[]), made.questions[0]) == 1


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps({"imlist": Evil()}))
    with pytest.raises(JudgementError, match=r"it would run builtins\.print"):
        benchmark.read("revisited", path, tmp_path)
    assert capsys.readouterr().out == ""
    for broken in (
        b"",
        b"\x80\x04",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"imlist": [], "qimlist": [1]}),
    ):
        path.write_bytes(broken)
        with pytest.raises(JudgementError):
            benchmark.read("revisited", path, tmp_path)


def test_landmarks(tmp_path: Path) -> None:
    path = tmp_path / "retrieval_solution_v2.1.csv"
    path.write_text("id,images,Usage\nabcd,i1 i2,Public\nefgh,None,Ignored\nijkl,i3,Private\n")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "abcd.jpg").touch()
    made = benchmark.read("landmarks", path, tmp_path)
    assert [one.query for one in made.questions] == [tmp_path / "a/b/c/abcd.jpg", tmp_path / "ijkl.jpg"]
    # AP@100 = (1/1 + 2/3) / 2: both are found, at 1 and 3.
    assert made.measures["mAP@100"](Places(ranked=["i1", "x", "i2"], best=[]), made.questions[0]) == pytest.approx(
        5 / 6
    )


def test_stanford_online_products_ask_each_by_all_others(tmp_path: Path) -> None:
    path = tmp_path / "Ebay_test.txt"
    path.write_text("image_id class_id super_class_id path\n1 10 1 a/1.jpg\n2 10 1 a/2.jpg\n3 11 1 a/3.jpg\n")
    made = benchmark.read("stanford", path, None)
    assert [dict(one.grades) for one in made.questions] == [{"a/2.jpg": 1.0}, {"a/1.jpg": 1.0}, {}]
    assert list(made.measures) == ["hit@1", "hit@10", "hit@100", "hit@1000"]
    assert made.measures["hit@1"](Places(ranked=["a/2.jpg"], best=[]), made.questions[0]) == 1
    assert math.isnan(made.measures["hit@1"](Places(ranked=["a/2.jpg"], best=[]), made.questions[2]))


def test_in_shop_asks_the_gallery(tmp_path: Path) -> None:
    path = tmp_path / "list_eval_partition.txt"
    path.write_text(
        "4\nimage_name item_id evaluation_status\n"
        "t.jpg id1 train\nq.jpg id2 query\ng1.jpg id2 gallery\ng2.jpg id3 gallery\n"
    )
    made = benchmark.read("inshop", path, tmp_path)
    assert [(one.query, dict(one.grades)) for one in made.questions] == [(tmp_path / "q.jpg", {"g1.jpg": 1.0})]
    assert made.ks == (1, 10, 20, 30, 40, 50)


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("landmarks", "id,images\na,b\n", "is not a solution"),
        ("stanford", "a b c\n", "needs the columns class_id, path"),
        ("stanford", "image_id class_id super_class_id path\n1 2\n", "line 2: 4 values"),
        ("inshop", "", "needs the columns"),
        ("inshop", "1\nimage_name item_id evaluation_status\nt.jpg id1 train\n", "holds no question"),
        ("cifar", "", "There is no benchmark 'cifar'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, name: str, file: str, said: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text(file)
    with pytest.raises(JudgementError, match=said):
        benchmark.read(name, path, tmp_path)
    with pytest.raises(JudgementError, match="--pictures FOLDER"):
        benchmark.read("revisited", path, None)


def test_the_box_of_a_question_is_cut_out(tmp_path: Path) -> None:
    picture = Image.new("RGB", (100, 80), "white")
    picture.paste("red", (10, 20, 30, 60))
    picture.save(tmp_path / "q.png")
    (tmp_path / "part.png").write_bytes(cropped(tmp_path / "q.png", Box(10, 20, 30, 60)))
    with Image.open(tmp_path / "part.png") as part:
        assert part.size == (20, 40)
        assert part.getcolors() == [(800, (255, 0, 0))]
    with pytest.raises(JudgementError, match="nothing of it is inside"):
        cropped(tmp_path / "q.png", Box(100, 0, 120, 10))
    with pytest.raises(JudgementError, match="cannot be read"):
        cropped(tmp_path / "none.png", Box(0, 0, 1, 1))
