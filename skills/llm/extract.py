"""An extractive summariser: picks sentences, changes none.

Each sentence is scored by how frequent its words are in the whole text (Luhn, 1958), with words
of headings and of the question counted higher and words that every text has counted not at all.
The best are shown in their own order, under the headings they stood under. Pure and deterministic.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

_WORD = re.compile(r"[^\W_][\w'’-]*")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9À-Þ])|(?<=[。！？])")
_ATX = re.compile(r"(#{1,6})\s+(.+?)\s*#*")
_BULLET = re.compile(r"(?:[-*+•]|\d+[.)])\s+")
_MAX_SENTENCES, _SHARE = 8, 0.4
_MAX_SENTENCE_CHARS = 600
_LEAD_BONUS, _HEADING_WEIGHT, _QUESTION_WEIGHT = 1.15, 2.0, 2.0
_STOP_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further had
    has have having he her here hers him his how i if in into is it its itself just me more most my
    no nor not now of off on once only or other our out over own same she should so some such than
    that the their them then there these they this those through to too under until up very was we
    were what when where which while who whom why will with would you your""".split()  # noqa: SIM905 - a hundred words read better as text
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    position: int
    heading: str
    text: str
    words: tuple[str, ...]
    leads: bool


def summarise(text: str, *, max_chars: int) -> str:
    """Up to two fifths of the sentences, eight and `max_chars` characters at most, by heading.

    A first paragraph that ends in a colon, or is a question, is taken as what is asked: its words
    weigh more, and it is not part of the answer unless there is nothing else.
    """
    question, material = _split_question(text)
    sentences = list(_sentences(material))
    if not sentences:
        return _fit(" ".join(text.split()), max_chars)
    ranked = _rank(sentences, question)
    chosen: list[_Sentence] = []
    for sentence in ranked[: min(_MAX_SENTENCES, ceil(len(ranked) * _SHARE))]:
        if len(_render([*chosen, sentence])) <= max_chars:
            chosen.append(sentence)
    return _render(chosen) if chosen else _fit(ranked[0].text, max_chars)


def _split_question(text: str) -> tuple[str, str]:
    first, _, rest = text.strip().partition("\n")
    asks = first.rstrip().endswith((":", "?")) and not _ATX.fullmatch(first.strip())
    return (first, rest) if asks and rest.strip() else ("", text)


def _sentences(text: str) -> Iterator[_Sentence]:
    heading, position, leads = "", 0, True
    for paragraph, is_heading in _paragraphs(text):
        if is_heading:
            heading, leads = paragraph, True
            continue
        for part in _SENTENCE_END.split(paragraph):
            words = _content_words(part)
            if words:
                yield _Sentence(position, heading, part.strip()[:_MAX_SENTENCE_CHARS], words, leads)
                position, leads = position + 1, False


def _paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """Paragraphs and headings in order: Markdown headings, and short lines standing alone."""
    lines = [line.strip() for line in text.splitlines()]
    gathered: list[str] = []
    for index, line in enumerate(lines):
        heading = _heading(line, lines[index + 1] if index + 1 < len(lines) else "", not gathered)
        if gathered and (not line or heading or _BULLET.match(line)):
            yield " ".join(gathered), False
            gathered = []
        if heading:
            yield heading, True
        elif line:
            gathered.append(_BULLET.sub("", line, count=1))
    if gathered:
        yield " ".join(gathered), False


def _heading(line: str, following: str, starts: bool) -> str:
    if matched := _ATX.fullmatch(line):
        return matched[2]
    bare = starts and not following and 0 < len(line) <= 80
    return line if bare and line[-1].isalnum() and len(line.split()) <= 8 else ""


def _content_words(text: str) -> tuple[str, ...]:
    words = (word.lower() for word in _WORD.findall(text))
    return tuple(_singular(word) for word in words if word not in _STOP_WORDS and len(word) > 1)


def _singular(word: str) -> str:
    """Plurals and possessives count as their stem: enough to know a word again."""
    word = word.replace("’", "'").removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _rank(sentences: list[_Sentence], question: str) -> list[_Sentence]:
    """Best first; of equals, the earlier. A sentence said twice counts once."""
    weights = _weights(sentences, question)
    unique = {sentence.text: sentence for sentence in reversed(sentences)}.values()
    return sorted(unique, key=lambda each: (-_score(each, weights), each.position))


def _weights(sentences: Iterable[_Sentence], question: str) -> dict[str, float]:
    sentences = list(sentences)
    counts = Counter(word for sentence in sentences for word in sentence.words)
    top = max(counts.values())
    weights = {word: count / top for word, count in counts.items()}
    emphasised = {word for each in sentences for word in _content_words(each.heading)}
    for word in emphasised & weights.keys():
        weights[word] *= _HEADING_WEIGHT
    for word in set(_content_words(question)) & weights.keys():
        weights[word] += _QUESTION_WEIGHT
    return weights


def _score(sentence: _Sentence, weights: dict[str, float]) -> float:
    """The sum over distinct words, damped by length so that long sentences do not always win."""
    distinct = set(sentence.words)
    score = sum(sorted(weights[word] for word in distinct)) / (len(sentence.words) + 3) ** 0.7
    return score * (_LEAD_BONUS if sentence.leads else 1.0)


def _render(sentences: list[_Sentence]) -> str:
    lines: list[str] = []
    shown = ""
    for sentence in sorted(sentences, key=lambda each: each.position):
        if sentence.heading and sentence.heading != shown:
            lines.append(f"{sentence.heading}:")
            shown = sentence.heading
        lines.append(f"- {sentence.text}")
    return "\n".join(lines)


def _fit(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max(max_chars - 1, 0)] + "…" * (max_chars > 0)
