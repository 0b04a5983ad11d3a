"""Makes the PDF and image samples in this folder. Run by hand; what it makes is committed.

    python samples/make_samples.py

Needs reportlab, pypdfium2, Pillow and numpy (requirements/development.txt) and the Debian packages
fonts-ipafont-gothic (embedded, as a subset, in the Japanese PDF: the IPA Font License allows it) and fonts-noto-cjk
(drawn in the Japanese image; OFL). The same input gives the same bytes with the same versions.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab import rl_config
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

HERE = Path(__file__).parent
IPA_GOTHIC = "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf"
NOTO_SERIF = "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc"
SCAN_DPI = 200

TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=22, leading=28, spaceAfter=14)
HEADING = ParagraphStyle("heading", fontName="Helvetica-Bold", fontSize=15, leading=20, spaceBefore=14, spaceAfter=6)
BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=15, spaceAfter=8)
JA_TITLE = ParagraphStyle("ja_title", fontName="IPAGothic", fontSize=20, leading=28, spaceAfter=14)
JA_HEADING = ParagraphStyle("ja_heading", fontName="IPAGothic", fontSize=14, leading=20, spaceBefore=12, spaceAfter=6)
JA_BODY = ParagraphStyle("ja_body", fontName="IPAGothic", fontSize=10.5, leading=17, spaceAfter=8, wordWrap="CJK")


def handbook() -> list[Flowable]:
    def heading(text: str) -> Paragraph:
        return Paragraph(text, HEADING)

    def body(text: str) -> Paragraph:
        return Paragraph(text, BODY)

    return [
        Paragraph("Staff Handbook of the Halvern Ferry Cooperative", TITLE),
        body(
            "This handbook is for everyone who works for the Halvern Ferry Cooperative. It is valid from 1 April 2024. "
            "Questions about it go to the staff office in Port Ansel, room 214."
        ),
        heading("1 About the cooperative"),
        body(
            "The Halvern Ferry Cooperative was founded in 1931 by eleven fishing families of Port Ansel. Its first "
            "ship was the paddle steamer Morning Tern. Today the cooperative has 342 employees and carries about "
            "910,000 passengers a year."
        ),
        body(
            "The chair of the board is Ottilie Brandt. The managing director is Samuel Achterberg. The board meets on "
            "the first Tuesday of every month in the old customs house."
        ),
        heading("2 Working hours and leave"),
        body(
            "A full working week has 37 hours. The early shift begins at 05:15 and the late shift begins at 13:45. "
            "Between two shifts lie at least eleven hours of rest."
        ),
        body(
            "Every employee has 28 days of paid leave a year. Leave is requested with form L-7 at least three weeks "
            "in advance. Up to five days of leave can be carried over until the end of February."
        ),
        heading("3 Expenses"),
        body(
            "The meal allowance on Skerrow Island is 18 crowns a day. Receipts are handed in within 40 days. The "
            "bicycle allowance is 9 crowns a month."
        ),
        PageBreak(),
        heading("4 The fleet"),
        body(
            "The cooperative runs four ships. The following table lists them with the year in which they were built, "
            "the number of passengers that they may carry, and their fuel."
        ),
        _table(
            [
                ["Ship", "Built", "Passengers", "Cars", "Fuel"],
                ["Grey Plover", "1997", "420", "58", "diesel"],
                ["Sanderling", "2008", "610", "96", "diesel"],
                ["Little Auk", "2016", "180", "none", "battery"],
                ["Storm Petrel", "2021", "735", "120", "methanol"],
            ]
        ),
        Spacer(1, 10),
        body(
            "The Little Auk is charged at the quay in Port Ansel. Charging takes 52 minutes. The Storm Petrel is the "
            "only ship with a helicopter deck."
        ),
        heading("5 Fares"),
        body("The fares are the same in both directions. Children under six travel free of charge."),
        _table(
            [
                ["Ticket", "Low season", "High season"],
                ["Adult", "14 crowns", "19 crowns"],
                ["Child", "6 crowns", "8 crowns"],
                ["Bicycle", "4 crowns", "4 crowns"],
                ["Car", "33 crowns", "47 crowns"],
            ],
            ruled=False,
        ),
        Spacer(1, 10),
        body("Employees travel for half the fare. The high season begins on 15 May and ends on 20 September."),
        PageBreak(),
        heading("6 Safety"),
        body(
            "The safety officer is Ines Karoly. A fire drill is held on every ship on the second Friday of the month. "
            "The muster station of the Sanderling is the aft lounge."
        ),
        body(
            "Seven short blasts and one long blast of the whistle are the general alarm. A man overboard is reported "
            "to the bridge with the words “Oscar, Oscar, Oscar”. Life jackets for children are kept in the red lockers."
        ),
        heading("7 Computers and passwords"),
        body(
            "A password has at least fourteen characters. The help desk has the extension 5500. A lost laptop is "
            "reported within two hours."
        ),
        heading("8 Uniform"),
        body(
            "The uniform jacket is dark green. A new jacket is issued every three years. Name badges are worn on the "
            "left side. The laundry service collects uniforms on Thursdays."
        ),
        heading("9 Leaving the cooperative"),
        body(
            "The period of notice is two months. Keys and the staff card are returned to the staff office. A "
            "certificate of service is issued within ten days."
        ),
    ]


def _table(rows: Sequence[Sequence[str]], font: str = "Times-Roman", ruled: bool = True) -> Table:
    """A table with all its rules, or with one under its head only."""
    table = Table([list(row) for row in rows], hAlign="LEFT", colWidths=[90] * len(rows[0]))
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), font, 10.5),
                ("GRID" if ruled else "LINEBELOW", (0, 0), (-1, -1 if ruled else 0), 0.5, colors.grey),
            ]
        )
    )
    return table


def inspection() -> list[Flowable]:
    title = ParagraphStyle("scan_title", fontName="Times-Bold", fontSize=19, leading=26, spaceAfter=12)
    head = ParagraphStyle("scan_heading", fontName="Times-Bold", fontSize=14, leading=20, spaceBefore=10, spaceAfter=4)
    body = ParagraphStyle("scan_body", fontName="Times-Roman", fontSize=12.5, leading=18, spaceAfter=9)
    return [
        Paragraph("Inspection Report: Corrin Light", title),
        Paragraph(
            "The lighthouse Corrin Light was inspected on 9 October 1998. The inspector was Edmund Farrow. The report "
            "was written for the Halvern Ferry Cooperative, which owns the lighthouse.",
            body,
        ),
        Paragraph("The tower", head),
        Paragraph(
            "The tower is 31 metres high and has 164 steps. It was built of grey granite in 1874. The west wall has a "
            "crack that is 85 centimetres long. The crack must be filled before the winter.",
            body,
        ),
        Paragraph("The lamp", head),
        Paragraph(
            "The lamp has a power of 1,000 watts. It shows two white flashes every 15 seconds. The light can be seen "
            "over 22 nautical miles. The lens was made by the firm Delacourt in Rouen.",
            body,
        ),
        Paragraph("The keeper", head),
        Paragraph(
            "The last keeper was Agnes Thorne. She left the lighthouse in June 1989. Since then the light has been "
            "switched on by a clock.",
            body,
        ),
        PageBreak(),
        Paragraph("Costs of the repair", head),
        Paragraph(
            "The repair of the wall costs 7,400 crowns. The new paint costs 2,150 crowns. The fog horn is beyond "
            "repair and is given to the museum of Port Ansel.",
            body,
        ),
        Paragraph("Next inspection", head),
        Paragraph(
            "The next inspection is due in October 2003. The inspector recommends a new lightning conductor.", body
        ),
    ]


def lost_property() -> list[Flowable]:
    return [
        Paragraph("沖波支店 忘れ物取扱規則", JA_TITLE),
        Paragraph(
            "この規則は、ハルヴァーンフェリー協同組合沖波支店の忘れ物の取り扱いを定める。"
            "この規則は2023年7月1日から施行する。",
            JA_BODY,
        ),
        Paragraph("第一章 受付", JA_HEADING),
        Paragraph(
            "忘れ物は本館一階の案内所で受け付ける。案内所の責任者は深沢美咲である。"
            "受け付けた忘れ物には黄色の札を付ける。",
            JA_BODY,
        ),
        Paragraph("第二章 保管", JA_HEADING),
        Paragraph("忘れ物の保管期間は次の表のとおりとする。保管期間を過ぎた忘れ物は沖波警察署に引き渡す。", JA_BODY),
        _table(
            [
                ["品目", "保管期間", "保管場所"],
                ["傘", "14日", "倉庫B"],
                ["衣類", "30日", "倉庫A"],
                ["電子機器", "90日", "金庫室"],
                ["食品", "当日", "冷蔵庫"],
            ],
            font="IPAGothic",
        ),
        Spacer(1, 10),
        Paragraph("第三章 返却", JA_HEADING),
        Paragraph(
            "返却には本人確認書類が必要である。郵送による返却の手数料は850円とする。返却の記録は五年間保存する。",
            JA_BODY,
        ),
    ]


NOTICE_TITLE = "沖波港フェリーターミナル 利用案内"
NOTICE = [
    ("h", "開館時間"),
    ("p", "ターミナルの開館時間は午前5時40分から午後10時までです。"),
    ("p", "切符売り場は出港の20分前に閉まります。"),
    ("h", "乗り場"),
    ("p", "白鷺島行きの船は3番乗り場から出ます。"),
    ("p", "白鷺島までの所要時間は75分です。"),
    ("p", "大人の片道運賃は2,340円です。"),
    ("h", "駐車場"),
    ("p", "駐車場には186台の車を停められます。"),
    ("p", "駐車料金は1日700円です。"),
    ("h", "お知らせ"),
    ("p", "2024年11月18日は桟橋の工事のため全便が運休します。"),
    ("p", "ターミナル長は榊原直樹です。"),
    ("p", "電話番号は0191-55-2706です。"),
]


def write_pdf(story: list[Flowable], title: str) -> bytes:
    target = io.BytesIO()
    document = SimpleDocTemplate(
        target, pagesize=A4, leftMargin=72, rightMargin=72, topMargin=72, bottomMargin=72, title=title,
        author="Pinakes",
    )  # fmt: skip
    document.build(story)
    return target.getvalue()


def scan(image: Image.Image, seed: int, degrees: float) -> Image.Image:
    """What a flatbed scanner makes of a printed page: a little skew, blur, paper tone and noise."""
    gray = image.convert("L").rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)
    gray = gray.filter(ImageFilter.GaussianBlur(0.6))
    noise = np.random.default_rng(seed).normal(0, 5, (gray.height, gray.width))
    pixels = np.asarray(gray, np.float32) * (226 / 255) + 18 + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def scanned_pdf(story: list[Flowable], title: str) -> bytes:
    """The pages as JPEG images of a scanner, one image a page and no text."""
    printed = pdfium.PdfDocument(write_pdf(story, title))
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4)
    canvas.setTitle(title)
    for number in range(len(printed)):
        page = scan(printed[number].render(scale=SCAN_DPI / 72).to_pil(), seed=number, degrees=(0.4, -0.3)[number % 2])
        jpeg = io.BytesIO()
        page.save(jpeg, "JPEG", quality=45)
        jpeg.seek(0)
        canvas.drawImage(ImageReader(jpeg), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    printed.close()
    return target.getvalue()


def notice_image() -> Image.Image:
    """A Japanese notice as a photographed page: A4 at 150 DPI."""
    japanese = 0  # the Japanese face of the collection
    title = ImageFont.truetype(NOTO_SERIF, 54, index=japanese)
    head = ImageFont.truetype(NOTO_SERIF, 40, index=japanese)
    body = ImageFont.truetype(NOTO_SERIF, 31, index=japanese)
    image = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(image)
    draw.text((130, 130), NOTICE_TITLE, font=title, fill=20)
    y = 270
    for kind, text in NOTICE:
        if kind == "h":
            y += 36
        draw.text((130, y), text, font=head if kind == "h" else body, fill=20)
        y += 72 if kind == "h" else 60
    return scan(image, seed=7, degrees=0.25)


def main() -> None:
    rl_config.invariant = 1
    pdfmetrics.registerFont(TTFont("IPAGothic", IPA_GOTHIC))
    (HERE / "staff-handbook.pdf").write_bytes(write_pdf(handbook(), "Staff Handbook"))
    (HERE / "lighthouse-inspection.pdf").write_bytes(scanned_pdf(inspection(), "Inspection Report"))
    (HERE / "okinami-lost-property.pdf").write_bytes(write_pdf(lost_property(), "忘れ物取扱規則"))
    notice_image().save(HERE / "okinami-terminal.jpg", quality=70, dpi=(150, 150))


if __name__ == "__main__":
    main()
