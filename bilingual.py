"""A text in English and in Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from display import short


@dataclass(frozen=True)
class Text:
    """A text in both languages; `zh` is empty where both read the same."""

    en: str
    zh: str = ""

    @property
    def both(self) -> str:
        """Both languages in one line, where markup cannot tell them apart."""
        return f"{self.en} · {self.zh}" if self.zh else self.en

    @property
    def plain(self) -> str:
        """In English, for a terminal: without the signs that some of them lack."""
        return self.en.translate({ord("−"): "-", ord("–"): "-", ord("²"): "2", ord("×"): "x"})

    def by_language(self) -> dict[str, str]:
        """By language; empty where both read the same."""
        return {"en": self.en, "zh": self.zh} if self.zh else {}

    def fill(self, **values: object) -> Text:
        """With its {placeholders} filled in: a value that is a Text speaks the same language, and
        another text, which is not ours, is cut."""
        texts = {key: Text(short(v)) if isinstance(v, str) else v for key, v in values.items()}
        english = {key: v.en if isinstance(v, Text) else v for key, v in texts.items()}
        chinese = {key: v.zh or v.en if isinstance(v, Text) else v for key, v in texts.items()}
        return Text(self.en.format(**english), self.zh.format(**chinese))

    def __html__(self) -> str:
        """What a template makes of it: a span a language, of which page.css shows one."""
        spans = [
            f'<span class="{language}" lang="{language}">{escape(words)}</span>'
            for language, words in self.by_language().items()
        ]
        return "".join(spans) or escape(self.en)
