"""What personal data looks like, before anything is checked. Over folded text; see `folding`.

Every repetition has a bound, and none of variable length stands within another one, so that a search takes time in
proportion to the text, whatever the text is: a test walks the patterns.
"""

from __future__ import annotations

import re

START = r"(?<![0-9A-Za-z].)(?<![0-9][-_/.ー,:].)(?<![A-Za-z][-_].)"
"""Behind a number's first character: it does not stand in the middle of a longer number, of a word, or of a part's
number (`A-123-45-6789`). Only a pattern that begins with characters is looked for quickly."""
AFTER = r"(?!(?!x[0-9]|ext)[0-9A-Za-z_])(?![-ー/][0-9A-Za-z])(?![.,:][0-9])"

EMAIL_AT = re.compile(r"@")
EMAIL_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}\Z")
EMAIL_DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,253}")

CARD = re.compile(
    rf"""[2-6]{START}[0-9]{{3}}(?:
        [-\ ][0-9]{{4}}[-\ ][0-9]{{4}}[-\ ][0-9]{{1,4}}(?:[-\ ][0-9]{{3}})?
        | [-\ ][0-9]{{6}}[-\ ][0-9]{{4,5}}
        | [0-9]{{9,15}}
    ){AFTER}""",
    re.VERBOSE,
)
IBAN = re.compile(
    r"[A-Za-z](?<![0-9A-Za-z].)"
    r"(?:(?<=[A-Z])[A-Z][0-9]{2}(?:[ -]?[0-9A-Z]){11,31}|(?<=[a-z])[a-z][0-9]{2}[0-9a-z]{11,30})"
)
NANP_PHONE = re.compile(
    rf"""[(1-9](?:(?<=\()|{START})(?:(?<=1)[-.\ ]?[(2-9])?
        (?:(?<=\()[2-9][0-9]{{2}}\)[-.\ ]?|(?<=[2-9])[0-9]{{2}}[-.\ /])[2-9][0-9]{{2}}[-.\ ][0-9]{{4}}{AFTER}""",
    re.VERBOSE,
)
JAPANESE_PHONE = re.compile(
    rf"""[0(](?:(?<=\()|{START})(?:
        (?<=0)[0-9]{{1,4}}[-ー.][0-9]{{1,4}}[-ー.][0-9]{{3,4}}
        | (?<=\()0[0-9]{{1,4}}\)[-ー\ ]?[0-9]{{1,4}}[-ー][0-9]{{3,4}}
        | (?<=0)[0-9]{{1,4}}\([0-9]{{1,4}}\)[0-9]{{3,4}}
        | (?<=0)[0-9]{{1,4}}\ [0-9]{{1,4}}\ [0-9]{{3,4}}
        | (?<=0)[0-9]{{9,10}}
    ){AFTER}""",
    re.VERBOSE,
)
INTERNATIONAL_PHONE = re.compile(rf"\+(?<![0-9A-Za-z+].)[1-9](?:[-ー. ()]?[-ー. ()]?[0-9]){{6,14}}{AFTER}")
BARE_NANP_PHONE = re.compile(rf"[1-9]{START}[0-9]{{9,10}}{AFTER}")
THREE_TWO_FOUR = re.compile(rf"[0-9]{START}[0-9]{{2}}(?:-[0-9]{{2}}-|\ [0-9]{{2}}\ |[0-9]{{2}})[0-9]{{4}}{AFTER}")
TWELVE_DIGITS = re.compile(
    rf"""[0-9]{START}(?<![0-9]\ .)[0-9]{{3}}(?:-[0-9]{{4}}-|ー[0-9]{{4}}ー|\ [0-9]{{4}}\ |[0-9]{{4}})[0-9]{{4}}
        (?!\ [0-9]){AFTER}""",
    re.VERBOSE,
)
PASSPORT_LINE = re.compile(
    r"[A-Z0-9](?<![0-9A-Z<].)[A-Z0-9<]{8}[0-9][A-Z<]{3}[0-9]{6}[0-9][MFX<][0-9]{6}[0-9][A-Z0-9<]{16}"
)
PASSPORT_NUMBER = re.compile(rf"[0-9A-Z]{START}[0-9A-Z][0-9]{{7}}{AFTER}")

ROUTING_NUMBER = re.compile(rf"[0-9]{START}[0-9]{{8}}{AFTER}")
LABELLED_ACCOUNT = re.compile(
    rf"""(?<![a-z])(?:account|acct|a/c)\.?\ ?(?:number|num|no|nr)?\.?\#?(?:\ (?:is|was))?[\ :=#|]{{0,4}}
        (?P<number>[0-9](?:[-\ ]?[0-9]){{5,16}}){AFTER}""",
    re.VERBOSE | re.IGNORECASE,
)
JAPANESE_ACCOUNT = re.compile(
    rf"""(?:普通|当座|貯蓄|口座|\((?=[普当]\))[普当])(?:預金)?(?:口座)?(?:番号|\ ?\(?No\.?)?(?:は|が)?[\ :()|.]{{0,4}}
        (?P<number>(?:[0-9]{{3}}[-ー\ ])?[0-9]{{7}}|[0-9]{{3}}-[0-9]{{4}}){AFTER}""",
    re.VERBOSE,
)
POSTAL_ACCOUNT = re.compile(
    rf"""記号(?:番号)?(?:は|が)?[\ :|]{{0,3}}1[0-9]{{3}}0(?:-[0-9])?[-ー\ 、,|]{{1,4}}(?:番号)?[\ :|]{{0,3}}
        (?P<number>[0-9]{{2,8}}){AFTER}""",
    re.VERBOSE,
)

PHONE_WORD = re.compile(
    r"(?<![a-z])(?:tele)?(?:tel|phone|call|mobile|cell|fax|dial|contact|hotline|reach|text)(?![a-df-rt-z])"
    r"|電話|連絡先|携帯|ファックス|ファクス|お問い?合わ?せ(?!番号)|直通|内線|代表|[☎℡✆📞]",
    re.IGNORECASE,
)
CARD_WORD = re.compile(r"(?<![a-z])(?:card|visa)|カード", re.IGNORECASE)
BANK_WORD = re.compile(
    r"(?<![a-z])(?:bank|checking|savings|deposit|beneficiary|payee|payroll|wire|routing|transfer|account|acct)"
    r"(?![a-z])",
    re.IGNORECASE,
)
ACCOUNT_LABEL = re.compile(r"number|num|no\b|nr\b|#", re.IGNORECASE)
ROUTING_WORD = re.compile(r"(?<![a-z])(?:routing|aba|rtn|transit (?:number|no))(?![a-z])", re.IGNORECASE)
SSN_WORD = re.compile(
    r"(?<![a-z])(?:ssn|social security|soc\.? ?sec|taxpayer|tin|itin)(?![a-z])|社会保障", re.IGNORECASE
)
MY_NUMBER_WORD = re.compile(r"マイナンバー|個人番号|(?<![a-z])(?:my ?number|individual number)", re.IGNORECASE)
LICENCE_WORD = re.compile(r"免許|driver'?s?'? licen[cs]e|driving licen[cs]e", re.IGNORECASE)
PASSPORT_WORD = re.compile(r"旅券|パスポート|passport", re.IGNORECASE)
OTHER_NUMBER = re.compile(
    r"(?<![a-z])(?:part|item|model|sku|serial|p/n|s/n|order|invoice|ticket|case|ref|reference|tracking|waybill|isbn|lot"
    r"|batch|asset|catalog(?:ue)?|drawing|version|po|job|document|doc|product|shipment|parcel|patent|flight|booking)"
    r"(?:\ ?(?:number|numbers|no|nos|num|code|id|ids|nr))?[.:#\ ]{0,3}(?:is|was)?[\ :#|]{0,2}\Z"
    r"|(?:(?<!の)番号|型番|品番|注文|図番|ロット|シリアル|第)(?:は|が|No\.?)?[\ :#|]{0,3}\Z",
    re.IGNORECASE,
)
"""Right before a number: it is a number of something else."""
