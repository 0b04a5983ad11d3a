"""What a question wants as its answer: a phrase of some kind, or sentences. Pure; English and Japanese.

A question word asks for a phrase ("When did it open?", 「開港はいつ?」), unless the words around it ask for more
("How do I ...?", 「どうすれば」). What has no question word (keywords, yes or no, "Explain ...") is answered in
sentences.
"""

from __future__ import annotations

import enum
import re
import unicodedata

from server.application.english_words import ONES, SCALES, TEENS, TENS, month_pattern


class AnswerKind(enum.Enum):
    NUMBER = "number"
    DATE = "date"
    PERSON = "person"
    PLACE = "place"
    PHRASE = "phrase"
    """A phrase of any other kind."""
    SENTENCES = "sentences"


_MONTH = month_pattern(capital=False)
_DAY = r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|spring|summer|autumn|fall|winter|centur|decade)"
_COUNTED_BY = ("hundred", *SCALES, "dozen")
_NUMERALS = (
    rf"(?:no|{'|'.join((*ONES, *TEENS, *TENS))}|(?:{'|'.join(_COUNTED_BY)})s?"
    r"|once|twice|half|third|quarter|single|several|most|majority)"
)

_ENGLISH_RULES = {
    AnswerKind.SENTENCES: r"""^(?:please\ )?(?:explain|describe|summari[sz]e|compare|outline|discuss|list|tell|give)\b
        | \bhow\ to\b | \bhow\ (?:do|can|could|should|would|must|may)\ (?:i|we|you|one|someone)\b
        | \bhow\ (?:do|does)\ .*\ work\b | \bdifferences?\ between\b
        | ^what\ (?:happens|should|can|must|do)\ (?:if|when|i|we|you|one)\b""",
    AnswerKind.NUMBER: r"""\bhow\ (?:many|much|long|old|far|tall|high|deep|wide|large|big|heavy|fast|often|hot|cold)\b
        | \b(?:what|which)\ (?:percent\w*|proportion|fraction|number|amount|price|cost|age|population|temperature)\b""",
    AnswerKind.DATE: r"""\bwhen\ (?:is|was|were|are|did|does|do|has|had|will|can|could|would|should)\b | \bwhen$
        | \b(?:what|which)\ (?:year|date|day|month|century|decade|season)\b""",
    AnswerKind.PERSON: r"\b(?:who|whom|whose)\b",
    AnswerKind.PLACE: r"""\bwhere\b
        | \b(?:what|which)\ (?:city|country|state|town|place|region|province|county)\b""",
    AnswerKind.PHRASE: r"\b(?:what|which|why|how|what's)\b",
}
_JAPANESE_RULES = {
    AnswerKind.SENTENCES: r"""説明|要約|まとめて|詳しく|比較して|比べて|違いは|どうすれば|どうしたら|どうやって
        |教えて.*方法|方法を教えて""",
    AnswerKind.NUMBER: r"""いくつ(?!か)|いくら|どの(?:くらい|ぐらい|程度)|どれ(?:くらい|ぐらい|だけ|ほど)
        |何(?:人|個|本|回|度|枚|台|件|歳|才|位|番|倍|割|種類|か国|カ国|ヶ国|箇所|か所|年間|日間|時間|分間|週間|か月|ヶ月|パーセント
        |%|キロ|メートル|トン|円|ドル|世帯|作|曲|巻|話|名(?!前)|年|月|日|世紀|時)""",
    AnswerKind.DATE: "いつ(?!も)|何曜日",
    AnswerKind.PERSON: r"誰|だれ|何者",
    AnswerKind.PLACE: r"どこ|何処|何(?:県|市|国|州|町|村|区)",
    AnswerKind.PHRASE: r"何|(?<!ん)なに|なん[でとの]|どれ|どの|どちら|どっち|どんな|どう|なぜ|は\??$|答えよ$",
}
"""Each pattern is looked for in the folded question; the first that is found decides."""
_RULES = {
    language: tuple((kind, re.compile(pattern, re.VERBOSE)) for kind, pattern in rules.items())
    for language, rules in {"en": _ENGLISH_RULES, "ja": _JAPANESE_RULES}.items()
}

_JAPANESE_NUMERAL = "[0-9〇元一二三四五六七八九十百千万億兆半数両全]"
_SHAPES = {
    # 何人 also asks for a people.
    AnswerKind.NUMBER: re.compile(rf"\b{_NUMERALS}\b|{_JAPANESE_NUMERAL}|人$"),
    AnswerKind.DATE: re.compile(
        rf"[0-9]|\b{_MONTH}\b|\b{_DAY}|[年月日時代期紀頃前後中降春夏秋冬朝夜]|\b(?:after|before|during)\b"
    ),
    AnswerKind.PERSON: re.compile(r"[^\W\d_]"),
    AnswerKind.PLACE: re.compile(r"[^\W\d_]"),
}


def answer_kind(question: str, language: str) -> AnswerKind:
    """Of a question in `language`; one in any other than English and Japanese is answered in sentences."""
    folded = unicodedata.normalize("NFKC", question).casefold().strip().rstrip("。.")
    for kind, pattern in _RULES.get(language, ()):
        if pattern.search(folded):
            return kind
    return AnswerKind.SENTENCES


def fits(kind: AnswerKind, phrase: str) -> bool:
    """Whether `phrase` can be an answer of the kind, by its characters: a number has a numeral, a date something of the
    calendar, a person letters. What it lets pass may still be wrong."""
    shape = _SHAPES.get(kind)
    return shape is None or shape.search(unicodedata.normalize("NFKC", phrase).casefold()) is not None
