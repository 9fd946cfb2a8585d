"""Foreign text as people are shown it."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.yaml_text import dump, inline, parse
from display import for_shell, padded, quoted, say, short, visible, width
from errors import MOST, ConfigError, UserError
from reader.findings import in_yaml

ACTS = {
    "escape": "\x1b[2J",
    "osc": "\x1b]0;title\x07",
    "c1": "\x9b31m",
    "line feed": "\nerror: another",
    "carriage return": "\rall is well",
    "backspace": "\b\b\b",
    "nul": "\0",
    "delete": "\x7f",
    "next line": "\x85",
    "paragraph": "\u2028\u2029",
    "embedding": "\u202a\u202b\u202c\u202d\u202e",
    "isolate": "\u2066\u2067\u2068\u2069",
    "mark": "\u200e\u200f\u061c",
    "no width": "\u200b\u200c\u200d\u2060\ufeff\xad\u034f\u3164",
    "half a character": "\ud800\udc80",
    "tag": "\U000e0041",
}
STAYS = [
    "é",
    "e\u0301",
    "中文（平方米）",
    "😀",
    "👩🏽‍⚕️",
    "👨‍👩‍👧",
    "❤️",
    "می‌خواهم",
    "\u3000",
    "1\xa0000",
    "葛\U000e0100",
]
TEXT = st.text(st.characters() | st.sampled_from("".join(ACTS.values())), max_size=30)


@pytest.mark.parametrize("kind", ACTS)
def test_what_acts_is_an_escape(kind: str) -> None:
    shown = visible(f"a{ACTS[kind]}b")
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert visible(shown) == shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("text", STAYS)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == text


def test_a_joiner_between_latin_letters_is_seen() -> None:
    assert visible("pri\u200cce \u200d") == "pri\\u200cce \\u200d"


def test_a_long_name_keeps_its_start_and_its_end() -> None:
    assert short("sensor", 6) == "sensor"
    assert short("a rather long name of sensor 17", 20) == "a rather l…sensor 17"
    assert short("面积面积面积面积面积", 9) == "面积…面积"
    assert len(short("x" * 10**6)) == 80
    assert len(short("a\u0301" * 10**5)) <= 80
    assert width(short("面" * 100)) <= 80
    assert short("\x1b" * 100, 9) == "\\x1b\\…x1b"
    assert quoted("x" * 100).startswith("'xxx")


def test_width_is_that_of_a_terminal() -> None:
    assert [width(text) for text in ("ab", "面积", "e\u0301", "😀")] == [2, 4, 1, 2]
    assert padded("面", 4) == "面  "


@given(TEXT)
def test_a_word_for_a_shell_is_that_word(text: str) -> None:
    word = for_shell(text)
    assert visible(word) == word
    if visible(text) == text:
        assert shlex.split(word) == [text]


def test_a_shell_reads_the_word_and_nothing_else(tmp_path: Path) -> None:
    names = [f"a{acts}'b\\c" for kind, acts in ACTS.items() if kind not in ("nul",)]
    names = [name.replace("\ud800", "") for name in names]
    script = "printf '%s\\0' " + " ".join(map(for_shell, names))
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [n.encode(errors="surrogateescape") for n in names]


@given(TEXT)
def test_yaml_is_visible_and_true(text: str) -> None:
    for written in (inline(text), inline([text]), f"[{in_yaml(text)}]"):
        assert visible(written) == written
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        with pytest.raises(ConfigError, match="half a character"):
            parse(inline(text), "")
        return
    assert parse(inline(text), "") == text
    assert parse(f"[{in_yaml(text)}]", "") == [text]
    assert parse(dump({"key": text}), "") == {"key": text}


@pytest.mark.parametrize("kind", ACTS)
def test_an_error_has_its_own_lines_alone(kind: str) -> None:
    foreign = f"table{ACTS[kind]}.csv"
    error = ConfigError(f"{foreign}: 2 problems", f"a: {foreign}", "b")
    assert len(str(error).splitlines()) == 3
    assert str(error).replace("\n", "").isprintable()
    again = type(error)(*error.args)
    assert str(again) == str(error)


def test_an_error_is_not_longer_than_a_page() -> None:
    text = str(UserError(f"{'x' * 10**6}: no such column; choose another"))
    assert len(text) <= MOST
    assert text.endswith("no such column; choose another")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "gbk", "latin-1"])
def test_say_is_at_home_in_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    say("面积 😀\n", *ACTS.values(), to=stream)
    lines = raw.getvalue().decode(encoding).split("\n")
    assert len(lines) == 2 + len(ACTS)
    assert all(line.isprintable() for line in lines)


def test_yaml_escapes_are_json_but_for_bytes() -> None:
    assert json.loads(in_yaml("a\u202e\nb")) == "a\u202e\nb"
