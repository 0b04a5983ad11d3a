"""Where personal data stands in a text. Pure; takes time in proportion to the text's length.

A number counts when its form, its check digit, and where these say too little the words before it, make it likely. What
follows a number never decides about it, so that a text can be looked at while it is being written. What this does not
find: names, addresses, dates of birth; numbers in words; addresses of mail in other scripts or spelled out ("at").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from operator import itemgetter

import phonenumbers

from server.application.privacy import check_digits, patterns
from server.application.privacy.folding import folded
from server.domain.privacy import PiiKind, PiiSpan

CONTEXT = 48
"""Characters before a number in which words can say what it is."""
LONGEST = 320
"""Characters that one find has at most."""
_NEAR = 20
_LONGEST_HEAD = 40
_FEWEST_DIGITS = re.compile(r"[0-9](?:[^0-9\n]{0,5}[0-9]){5}")
_DIGITS = re.compile(r"[0-9](?:[^0-9]{0,5}[0-9]){5,200}")
_AROUND = 64
"""Characters on each side of digits that a finder may look at."""
_FILE_ENDINGS = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "css", "js", "json", "html", "xml", "txt")
)
_ASCII_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TABLE_HEAD = re.compile(r"^\|[^\n]*\|$", re.MULTILINE)

_Found = tuple[int, int, PiiKind]


def find_pii(text: str, kinds: Collection[PiiKind] = tuple(PiiKind)) -> list[PiiSpan]:
    """In order, without overlaps. `kinds` chooses: what a number is taken for does not depend on them."""
    form = folded(text)
    found = _settled(_all_finds(form.text), len(form.text))
    return [PiiSpan(*form.original(start, end), kind) for start, end, kind in found if kind in kinds]


def _settled(finds: Iterable[_Found], length: int) -> list[_Found]:
    """Of finds that overlap, the earliest in the order of the finders, which is that of their certainty."""
    taken: list[_Found] = []
    covered = bytearray(length)
    for find in finds:
        start, end, _ = find
        if covered.find(1, start, end) < 0:
            covered[start:end] = b"\1" * (end - start)
            taken.append(find)
    return sorted(taken, key=itemgetter(0))


def _all_finds(text: str) -> Iterator[_Found]:
    yield from _emails(text)
    for start, end in _numbered(text):
        part = text[start:end]
        for finder in _NUMBERS:
            for found_start, found_end, kind in finder(part):
                yield found_start + start, found_end + start, kind
    if "|" in text:
        yield from _in_columns(text)


def _numbered(text: str) -> Iterator[tuple[int, int]]:
    """The parts of the text that have digits enough for a number, with what stands around them."""
    start = end = 0
    for digits in _DIGITS.finditer(text):
        if digits.start() - _AROUND > end:
            if end:
                yield start, end
            start = digits.start() - _AROUND
        end = digits.end() + _AROUND
    if end:
        yield start, end


def _emails(text: str) -> Iterator[_Found]:
    """RFC 5321 in ASCII, without quoted names and addresses in numbers."""
    end_of_last = 0
    for at in patterns.EMAIL_AT.finditer(text):
        window = text[max(end_of_last, at.start() - 64) : at.start()]
        local = patterns.EMAIL_LOCAL.search(window)
        domain = patterns.EMAIL_DOMAIN.match(text, at.end())
        if local is None or domain is None:
            continue
        name, host = local.group().lstrip(".'`*|/{}=&"), domain.group().rstrip(".-")
        after = at.end() + len(host)
        if not name or name.endswith(".") or ".." in name or not _is_host(host):
            continue
        if text[after : after + 1] == ":" and text[after + 1 : after + 2].isalnum():
            continue  # git@host:path
        end_of_last = after
        yield at.start() - len(name), after, PiiKind.EMAIL


def _is_host(host: str) -> bool:
    labels = host.split(".")
    last = labels[-1].lower()
    ends_well = (last.isalpha() and len(last) > 1 and last not in _FILE_ENDINGS) or last.startswith("xn--")
    return len(labels) > 1 and ends_well and all(_ASCII_LABEL.fullmatch(label) for label in labels)


def _cards(text: str) -> Iterator[_Found]:
    for found in patterns.CARD.finditer(text):
        number, start = found.group(), found.start()
        digits = _digits(number)
        if digits == number and _is_other(text, start):
            continue
        if len(digits) == 13 and not _says(patterns.CARD_WORD, text, start):
            continue  # the articles of Japanese shops have thirteen digits from 45 and 49 on
        if check_digits.is_payment_card(digits):
            yield start, found.end(), PiiKind.PAYMENT_CARD
        elif len(digits) == 19 and len(number) > 19 and check_digits.is_payment_card(digits[:16]):
            # Three digits behind a card's sixteen are its code rather than part of its number.
            yield start, start + number.rfind(number[-4]), PiiKind.PAYMENT_CARD


def _ibans(text: str) -> Iterator[_Found]:
    for found in patterns.IBAN.finditer(text):
        written = found.group().upper()
        length = check_digits.IBAN_LENGTHS.get(written[:2], 0)
        places = [at for at, character in enumerate(written) if character not in " -"][:length]
        if length and len(places) == length:
            end = found.start() + places[-1] + 1
            iban = "".join(written[at] for at in places)
            if check_digits.is_iban(iban) and not text[end : end + 1].isalnum():
                yield found.start(), end, PiiKind.BANK_ACCOUNT


def _passport_lines(text: str) -> Iterator[_Found]:
    for found in patterns.PASSPORT_LINE.finditer(text):
        if check_digits.is_passport_line(found.group()):
            yield found.start(), found.end(), PiiKind.PASSPORT


def _twelve_digits(text: str) -> Iterator[_Found]:
    """A My Number in groups needs no word before it: of other numbers in three groups of four one in eleven looks like
    one, and these (parcels, above all) tend to be named."""
    for found in patterns.TWELVE_DIGITS.finditer(text):
        digits, start = _digits(found.group()), found.start()
        if _says(patterns.LICENCE_WORD, text, start) and check_digits.is_japanese_drivers_licence(digits):
            yield start, found.end(), PiiKind.JP_DRIVERS_LICENCE
        elif check_digits.is_my_number(digits):
            grouped = len(found.group()) > len(digits) and not _is_other(text, start)
            if grouped or _says(patterns.MY_NUMBER_WORD, text, start):
                yield start, found.end(), PiiKind.JP_MY_NUMBER


def _social_security(text: str) -> Iterator[_Found]:
    for found in patterns.THREE_TWO_FOUR.finditer(text):
        digits, start = _digits(found.group()), found.start()
        named = _says(patterns.SSN_WORD, text, start)
        if not named and ("-" not in found.group() or _is_other(text, start)):
            continue
        if check_digits.is_ssn(digits):
            yield start, found.end(), PiiKind.US_SSN
        elif check_digits.is_itin(digits):
            yield start, found.end(), PiiKind.US_ITIN


def _passports(text: str) -> Iterator[_Found]:
    if patterns.PASSPORT_WORD.search(text) is None:
        return
    for found in patterns.PASSPORT_NUMBER.finditer(text):
        if _says(patterns.PASSPORT_WORD, text, found.start()):
            yield found.start(), found.end(), PiiKind.PASSPORT


def _accounts(text: str) -> Iterator[_Found]:
    if patterns.ROUTING_WORD.search(text) is not None:
        for found in patterns.ROUTING_NUMBER.finditer(text):
            if check_digits.is_aba_routing(found.group()) and _says(patterns.ROUTING_WORD, text, found.start()):
                yield found.start(), found.end(), PiiKind.BANK_ACCOUNT
    for found in patterns.LABELLED_ACCOUNT.finditer(text):
        label = text[found.start() : found.start("number")]
        before = text[max(0, found.start() - _NEAR) : found.start()]
        if patterns.ACCOUNT_LABEL.search(label) or patterns.BANK_WORD.search(before):
            yield *found.span("number"), PiiKind.BANK_ACCOUNT
    for pattern in (patterns.JAPANESE_ACCOUNT, patterns.POSTAL_ACCOUNT):
        for found in pattern.finditer(text):
            yield *found.span("number"), PiiKind.BANK_ACCOUNT


def _phones(text: str) -> Iterator[_Found]:
    for found in patterns.INTERNATIONAL_PHONE.finditer(text):
        if _is_phone("+" + _digits(found.group())):
            yield found.start(), found.end(), PiiKind.PHONE
    for found in patterns.JAPANESE_PHONE.finditer(text):
        if _is_japanese_phone(text, found.group(), found.start()):
            yield found.start(), found.end(), PiiKind.PHONE
    for pattern in (patterns.NANP_PHONE, patterns.BARE_NANP_PHONE):
        for found in pattern.finditer(text):
            number, start = found.group(), found.start()
            plain = not any(mark in number for mark in "-.()")
            named = _says(patterns.PHONE_WORD, text, start)
            if not named and (plain or _is_other(text, start)):
                continue
            if _is_nanp_phone(_digits(number)):
                yield start, found.end(), PiiKind.PHONE


def _is_japanese_phone(text: str, number: str, start: int) -> bool:
    """Without a word before it, the groups have to be those in which the number is written; mobiles go without."""
    digits = _digits(number)
    national = _japanese_groups(digits)
    if national is None:
        return False
    if _says(patterns.PHONE_WORD, text, start):
        return True
    if _is_other(text, start):
        return False
    if not any(mark in number for mark in "-ー.("):
        return len(digits) == 11 and digits[:3] in ("070", "080", "090")
    return tuple(re.findall("[0-9]+", number)) == national


def _is_nanp_phone(digits: str) -> bool:
    return (len(digits) == 10 or (len(digits) == 11 and digits[0] == "1")) and _is_phone("+1" + digits[-10:])


@lru_cache(4_096)
def _japanese_groups(digits: str) -> tuple[str, ...] | None:
    """None for what is no number of Japan's plan."""
    number = phonenumbers.parse("+81" + digits[1:])
    if not phonenumbers.is_valid_number(number):
        return None
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return tuple(national.split("-"))


@lru_cache(4_096)
def _is_phone(number: str) -> bool:
    """`number`: + and digits."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


_NUMBERS: tuple[Callable[[str], Iterator[_Found]], ...] = (
    _passport_lines,
    _ibans,
    _accounts,
    _twelve_digits,
    _passports,
    _cards,
    _social_security,
    _phones,
)


def _in_columns(text: str) -> Iterator[_Found]:
    """Cells of tables (rows of Markdown), each looked at behind the head of its column, which may say what it is."""
    head: list[str] = []
    last_end = -2
    for row in _TABLE_HEAD.finditer(text):
        cells = list(re.finditer(r"[^|\n]+", row.group()))
        if row.start() != last_end + 1:
            head = [cell.group().strip()[:_LONGEST_HEAD] for cell in cells]
        else:
            for title, cell in zip(head, cells, strict=False):
                yield from _in_cell(title, cell.group(), row.start() + cell.start())
        last_end = row.end()


def _in_cell(title: str, cell: str, at: int) -> Iterator[_Found]:
    if _FEWEST_DIGITS.search(cell) is None:
        return
    labelled, shift = f"{title}: {cell.lstrip()}", len(title) + 2 - (len(cell) - len(cell.lstrip()))
    for finder in _NUMBERS:
        for start, end, kind in finder(labelled):
            if start >= len(title):
                yield start - shift + at, end - shift + at, kind


def _says(word: re.Pattern[str], text: str, before: int) -> bool:
    return word.search(text, max(0, before - CONTEXT), before) is not None


def _is_other(text: str, before: int) -> bool:
    return patterns.OTHER_NUMBER.search(text, max(0, before - CONTEXT), before) is not None


def _digits(number: str) -> str:
    return "".join(character for character in number if "0" <= character <= "9")
