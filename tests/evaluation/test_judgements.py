import pytest

from mmsearch_django.evaluation.judgements import read_qrels, read_queries, write_qrels, write_queries
from mmsearch_django.exceptions import JudgementError


def written(tmp_path, text):
    path = tmp_path / "judged"
    path.write_text(text, encoding="utf-8")
    return path


def test_queries(tmp_path):
    path = written(tmp_path, "\ufeff1\ta cat, asleep\r\n\nq2\t\u2028harbour\tat dusk \n")
    assert read_queries(path) == {"1": "a cat, asleep", "q2": "harbour\tat dusk"}


def test_qrels(tmp_path):
    path = written(tmp_path, "1 0 a.jpg 1\n1\t0\tIMG 22 (b).jpg\t2\n2 0 a.jpg 0\n2 Q0 o'hara.jpg -1\n")
    assert read_qrels(path) == {"1": {"a.jpg": 1, "IMG 22 (b).jpg": 2}, "2": {"a.jpg": 0, "o'hara.jpg": -1}}


@pytest.mark.parametrize("line", ["a red car", "1\t", "\ttext", "1\t  "])
def test_a_bad_query_is_named_by_its_line(tmp_path, line):
    with pytest.raises(JudgementError, match=r"judged:2: expected 'id<TAB>text'"):
        read_queries(written(tmp_path, f"1\ta\n{line}\n"))


@pytest.mark.parametrize("line", ["1 0 a.jpg", "1 0 a.jpg high", "1", "1 0 a.jpg 0.5"])
def test_a_bad_judgement_is_named_by_its_line(tmp_path, line):
    with pytest.raises(JudgementError, match=r"judged:1: expected 'id 0 item grade'"):
        read_qrels(written(tmp_path, line))


def test_what_is_there_twice_is_an_error(tmp_path):
    with pytest.raises(JudgementError, match="query '1' is there twice"):
        read_queries(written(tmp_path, "1\ta\n1\tb\n"))
    with pytest.raises(JudgementError, match=r"item 'a.jpg' of query '1' is judged twice"):
        read_qrels(written(tmp_path, "1 0 a.jpg 1\n1 0 a.jpg 0\n"))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(JudgementError, match="cannot be read"):
        read_queries(tmp_path / "missing")
    (tmp_path / "latin").write_bytes(b"1\tcaf\xe9\n")
    with pytest.raises(JudgementError, match="cannot be read"):
        read_queries(tmp_path / "latin")


def test_what_is_written_is_what_is_read(tmp_path):
    queries = {"1": "a cat, asleep", "2": "caf\xe9"}
    qrels = {"1": {"IMG 22 (b).jpg": 1, "caf\xe9\u2028.jpg": 0}, "2": {"a": -1}}
    write_queries(tmp_path / "queries", queries)
    write_qrels(tmp_path / "qrels", qrels)
    assert read_queries(tmp_path / "queries") == queries
    assert read_qrels(tmp_path / "qrels") == qrels


def test_a_file_is_overwritten_only_if_asked_to(tmp_path):
    path = written(tmp_path, "1 0 a 1\n")
    with pytest.raises(JudgementError, match="judged cannot be written"):
        write_qrels(path, {"1": {"b": 1}})
    assert read_qrels(path) == {"1": {"a": 1}}
    write_qrels(path, {"1": {"b": 1}}, overwrite=True)
    assert read_qrels(path) == {"1": {"b": 1}}
