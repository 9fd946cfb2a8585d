"""Questions stay without answers until they are asked for."""

from __future__ import annotations

import pytest

from lesson import exercises
from lesson.markup import exercises as read_exercises
from tests.conftest import ROOT, command

BUILDERS = ("__init__", "chapter", "typeset")
PAGES = [path for path in (ROOT / "lesson").glob("*.py") if path.stem not in BUILDERS]


def test_all_questions_are_listed_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.main([]) == 0
    listed = capsys.readouterr().out
    for number in range(1, 8):
        assert listed.count(f"{number}. ") == 2
    assert "为什么" in listed
    assert "250" not in listed


@pytest.mark.parametrize(
    ("text", "numbers"), [("3", [3]), ("1-4", [1, 2, 3, 4]), ("2,5", [2, 5]), ("1,6-7", [1, 6, 7])]
)
def test_choosing(text: str, numbers: list[int]) -> None:
    assert exercises.chosen(text) == numbers


@pytest.mark.parametrize("text", ["0", "8", "5-9", "4-1", "x", "1-x", "", "-2", "1--2"])
def test_a_wrong_choice_is_one_message(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.main([text]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        f"error: {text!r} names no exercises; they are 1 to 7: try 3, 1-4 or 2,5\n"
    )


def test_the_command() -> None:
    assert command("-m", "lesson.exercises", "nine").returncode == 2
    done = command("-m", "lesson.exercises", "4")
    assert done.returncode == 0
    assert "counted: 250   calculated: 250" in done.stdout
    assert "共 250 次" in done.stdout


def test_pages_and_exercises_ask_for_no_package_of_the_chapter() -> None:
    packages = ["jinja2", "latex2mathml", "markdown_it", "mdit_py_plugins", "pygments"]
    missing = f"import sys; sys.modules.update(dict.fromkeys({packages}))"
    pages = "from lesson import " + ", ".join(page.stem for page in PAGES)
    done = command("-c", f"{missing}; {pages}; exercises.main(['4'])")
    assert done.returncode == 0, done.stderr
    assert "counted: 250" in done.stdout


def test_every_answer_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.main(["1-7"]) == 0
    printed = capsys.readouterr().out
    assert "{{" not in printed
    questions, answers = read_exercises()
    assert list(questions) == list(answers) == list(range(1, len(exercises.ANSWERS) + 1))
    for number in questions:
        assert printed.count(f"{number}. ") >= 2


def test_the_answers_prove_what_they_say() -> None:
    ruler = exercises.own_ruler()
    assert float(ruler["own_ruler_test"]) > float(ruler["own_ruler_training"])
    slopes = exercises.zero_slope()
    assert float(slopes["rest_slope"]) < 1e-12
    assert slopes["absent_slope"] == 0
    assert float(slopes["absent_loss"]) > 1
    assert float(slopes["saturated_slope"]) < 1e-8
    assert exercises.count_iterations() == {"counted": 250, "counted_each": 50}
