"""Which wordings tell a question's intent, by language. Data: `intents.py` says how it is read.

Every pattern is searched in the question, casefolded; white space in a pattern stands for itself. In each language the
first rule that fits decides, from top to bottom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.domain.understanding import Intent


@dataclass(frozen=True, slots=True)
class IntentRules:
    """`polite` is taken off the beginning before anything is looked for. `rules` are tried in order. What none of them
    fits is a question for a fact if `sentence` fits, else a list of words."""

    polite: str
    rules: tuple[tuple[Intent, str], ...]
    sentence: str


_EN_GREETING = (
    r"(?:hi|hello|hey|good (?:morning|afternoon|evening|night)|thanks?(?: you)?|thx|cheers|bye|goodbye"
    r"|see you|ok(?:ay)?|great|cool|nice(?: to meet you)?|awesome|perfect|sorry|welcome|yes|no|sure|got it|well done"
    r"|there|again|everyone|everybody|all|a lot|very much|so much|(?:that|this|it) (?:really )?helped|later|then|today)"
)
_EN_TO_ASSISTANT = (
    r"(?:who|what) are you|what can you do|how (?:are|do) you (?:doing|feel|work)?|how old are you"
    r"|what(?:'s| is) your name|are you (?:an? |really )?(?:robot|bot|human|ai|machine|person|real|there|ok)"
    r"|do you (?:like|love|sleep|dream|speak|understand)|(?:tell|say) (?:me |us )?(?:a joke|something funny)"
)
_EN_OBJECT = r"(?:an?|the|this|that|these|those|all|every|my|our|your|his|her|their|it|them|me|us)\b"
_EN_DEED = (
    r"(?:delete|remove|erase|send|upload|download|write|draft|create|make|add|rename|move|copy|tag|label|book|schedule"
    r"|export|print|archive|publish|share|convert|update|change|edit|replace|cancel|open|call|order|sign|save|approve)"
)
_JA_DEED = (
    "(?:削除|翻訳|送信|返信|アップロード|ダウンロード|予約|出力|作成|登録|変更|追加|更新|転送|共有|印刷|保存|変換|編集"
    "|移動|コピー|公開|承認|注文|キャンセル|メール|リマインド|実行)し(?:て|と)|(?:送|作|貼)って|(?:消|訳|直|渡|出)して"
    "|書いて|付けて|入れて|開いて"
)
_JA_PLEASE = (
    "(?:おいて)?(?:ください|下さい|くれ|ほしい|欲しい|ちょうだい|頂戴|もらえ|いただけ|頂け|お願い|ね)?"
    "(?:です|ます|ません|ませんか|ますか|か)?"
)

RULES: Mapping[str, IntentRules] = {
    "en": IntentRules(
        polite=(
            r"(?:please|kindly|(?:can|could|would|will) you(?: please)?|i(?:'d| would) like you to|i want you to)[ ,]+"
        ),
        rules=(
            (Intent.CHAT, rf"^(?:{_EN_GREETING}[ ,.!?]*+)++$"),
            (Intent.CHAT, rf"^(?:{_EN_GREETING}[ ,.!]++)*+(?:{_EN_TO_ASSISTANT})\b.{{0,12}}$"),
            (Intent.SUMMARY, r"\bsummar(?:y|ies|i[sz]e[ds]?|i[sz]ing)\b|\bsum(?:ming)? up\b|\boverview\b|\btl;? ?dr\b"),
            (Intent.SUMMARY, r"\b(?:key|main) (?:takeaways?|points|findings|ideas|topics|messages)\b|\bthe gist\b"),
            (
                Intent.SUMMARY,
                r"^(?:outline|recap)\b|\b(?:in brief|in short|in a nutshell)\b|\bbriefly (?:describe|explain)",
            ),
            (Intent.SUMMARY, r"\bin (?:a few|one|two|three|four|five|\d+) (?:short )?(?:sentences?|bullet|lines)\b"),
            (
                Intent.SUMMARY,
                (
                    r"\bwhat(?:'s| is| are) (?:this|the|these|those) (?:\w+ ){0,2}(?:documents?|reports?|files?|papers?"
                    r"|contracts?|books?|articles?|texts?|minutes) (?:all )?about\b"
                ),
            ),
            (Intent.COMPARISON, r"\b(?:compare|comparison|contrast|versus|vs|in common|pros and cons)\b"),
            (
                Intent.COMPARISON,
                r"\bdifferences?\b.*\b(?:between|of)\b|\bdiffers?\b|\bdifferent from\b|\bchange[sd]? between\b",
            ),
            (
                Intent.COMPARISON,
                (
                    r"^(?:is|are|was|were|do|does|did|has|have|had|will|would|can)\b"
                    r".*\b(?:more|less|fewer|better|worse|\w{2,}er)\b.*\bthan\b"
                ),
            ),
            (
                Intent.COMPARISON,
                r"\bwhich (?:one )?(?:of the two|is|are|was|were|has|had|costs?)\b.*\bor\b|\bwhich of the two\b",
            ),
            (Intent.ACTION, rf"^{_EN_DEED} (?!(?:of|for|in|by|to|at|on|and|or)\b)(?:\w+ )?{_EN_OBJECT}"),
            (
                Intent.ACTION,
                (
                    rf"^(?:translate|forward|remind|notify|email|e-mail) {_EN_OBJECT}"
                    r"|^(?:send|upload|export|share|move|copy|add) (?!to\b)[\w ]{1,60} to \w"
                ),
            ),
        ),
        sentence=(
            r"\?|\b(?:what|who|whom|whose|which|when|where|why|how)\b"
            r"|^(?:is|are|was|were|do|does|did|has|have|had|can|could|may|must|should|will|would|tell|give|show|list|name"
            r"|find|explain|describe|define|state|identify|i|we|let|help|am)\b"
            r"|.\b(?:is|are|was|were|has|have|had|does|did|must|should|will|would|can|cannot)\b"
        ),
    ),
    "ja": IntentRules(
        polite="(?:すみません|すいません|恐れ入りますが|お手数ですが)[、,]?",
        rules=(
            (
                Intent.CHAT,
                (
                    "^(?:(?:こんにちは|こんばんは|おはよう|ありがとう|どうも|はじめまして|初めまして|よろしく|お願い|おねがい|お疲れ様"
                    "|お疲れさま|おつかれさま|さようなら|またね|助かり|了解|わかり|分かり|はい|いいえ|うん|ええ|すみません|ごめん(?:なさい)?"
                    "|なるほど|すごい|素晴らしい|いいね|やあ|元気)(?:ございま(?:す|した)|しま(?:す|した)|ま(?:す|した)|でし(?:た|ょう)|です)?"
                    "(?:か|ね|よ)?[、。,.!?！ ]*+)++$"
                ),
            ),
            (
                Intent.CHAT,
                (
                    "(?:あなた|君|きみ)(?:は|って|の名前|が).{0,4}(?:誰|だれ|何|なに|ロボット|ai|人間|名前|いくつ|何歳)"
                    "|^何が?でき(?:る|ます)|自己紹介|冗談を|元気ですか"
                ),
            ),
            (Intent.SUMMARY, "要約|概要|要点|概略|サマリ|あらすじ|全体像|かいつまんで|手短に|簡潔に説明|大まかに"),
            (Intent.SUMMARY, f"まとめて{_JA_PLEASE}[。.!]*$|まとめを|(?:ポイント|論点)を"),
            (Intent.SUMMARY, "(?:この|その|本)(?:文書|書類|資料|報告書|ファイル|記事|論文|本)は?何(?:について|の)"),
            (
                Intent.COMPARISON,
                "(?<!間)違い(?!ない|あり)|(?<!間)違う点|相違|比較(?:し|を|すると|表|$)|の比較|対比|異なり|異なる点",
            ),
            (Intent.COMPARISON, "(?:どちら|どっち)の?(?:ほう|方)?(?:が|は)|メリットとデメリット|長所と短所|共通点"),
            (
                Intent.COMPARISON,
                (
                    "^(?!.*(?:何|誰|だれ|いつ|どこ|どの|どれ|いくつ|いくら)).*(?<!に)(?<!何)より(?:も|は)?"
                    ".{1,14}(?:ですか|でしたか|ましたか|ますか)[。?]*$"
                ),
            ),
            (Intent.ACTION, f"(?:{_JA_DEED}){_JA_PLEASE}[。.!]*$"),
        ),
        sentence=(
            "[?]|か[。.!]*$|何|なに|誰|だれ|いつ|どこ|どの|どれ|どう|なぜ|どんな|いくつ|いくら|どちら|どなた|教えて|知りたい|調べ"
            "|(?:ください|下さい|ほしい|くれ|でしょう|とは|って|ですか|なさい|(?:答|こた)えよ|[べげせ]よ|呼ぶ|は)[。.!]*$|説明し"
        ),
    ),
}
