"""Language tags of questions and passages."""

from __future__ import annotations

import pytest

from server.application.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the ferry fee?", "en"),
        ("average plant biomass of the marsh", "en"),
        ("Kestrel Bay tariff", "en"),
        ("料金", "ja"),
        ("Tritonのバージョンは?", "ja"),
        ("営業時間は9時から17時までです。", "ja"),
        ("这是什么", "zh"),
        ("서울은 어디에 있습니까", "ko"),
        ("Wo ist die Bibliothek?", "de"),
        ("¿Dónde está la estación?", "es"),
        ("Где находится библиотека", "ru"),
        ("12,300", "und"),
        ("", "und"),
    ],
)
def test_detect_language(text: str, language: str) -> None:
    assert detect_language(text) == language
