"""Signs of broken text that can be computed without a dictionary, in any script.

The score is the product of six parts, each 1 for sound text; a text with one grave defect is thus
bad, whatever the rest. The weights are ours and not learned. Fenced code and links are left out.

    intact    1 - min(1, 10 d)     d: share of the characters that are damaged: replacement and
                                   control characters, lone surrogates, private use, mojibake
                                   (UTF-8 read as Windows-1252: "Ã©")
    wordlike  min(1, s / 0.2)      s: share of letters, digits and emoji among what is visible
    broken    1 - l                l: share of the visible characters in words of more than 50
                                   letters, or in one character written more than 15 times in a row
    scripts   1 - min(1, 3 x)      x: share of the words that mix Latin, Greek and Cyrillic letters
    balanced  1 - min(0.3, p)      p: 0.2 for a code fence left open, 0.05 for each unmatched
                                   bracket, and for an odd number of double quotation marks
    finished  1, 0.95 or 0.7       0.7 if the length limit ended the reply within a sentence; 0.95
                                   if prose ends within one, and why the reply ended is not known

Runs of Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese are not words (`enrichment.tokens`)
and may have any length. Hebrew abbreviations (צה"ל), inches, emoticons, and enumerations as in
"a)" do not count as unbalanced.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

from message_service.enrichment.tokens import Kind, units
from message_service.generation.quality.evaluator import Evaluator, Judged

_SCANNED = 50_000
_LONGEST_WORD = 50
_SHORTEST_CUT = 60  # a short reply without a full stop is how people chat

_FENCE = re.compile(r"[ \t>]{0,12}(```|~~~)")
_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"]{1,2000}")
_INLINE_CODE = re.compile(r"`[^`\n]{1,200}`")
_SAME = re.compile(r"([^\s\-=_.*~#+|])\1{15,}")
_HIGH = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
# Two-byte sequences of Latin letters, and of Cyrillic in a row; punctuation; a byte order mark.
_MOJIBAKE = re.compile(rf"[ÂÃ][\x80-\xbf€‚ƒ„†‡‰Š‹Œ•™š›œžŸ]|(?:[ÐÑ][{_HIGH}]){{2,}}|â€[{_HIGH}]|ï»¿")
_JOINTS = re.compile(r"[-_'’‘ʼ]")
_MIXING = frozenset({"LATIN", "GREEK", "CYRILLIC"})

# What has one half of a pair by itself: emoticons, Hebrew abbreviations.
_SINGLE = re.compile(
    r"(?<!\S)[:;=]['’]?[-o^]?[()\[\]{}]{1,5}|(?<=[\u05d0-\u05ea])\"(?=[\u05d0-\u05ea])"
)
_ENUMERATED = re.compile(r"(?:^|[\s,;*_])(?:\w|\d{1,3}|[ivxIVX]{1,4})$")
_INCHES = re.compile(r"\d\"")
_ROUND = re.compile(r"[()]")
_PAIRS = ("[]", "{}", "（）", "【】", "「」", "『』", "《》", "«»")

_ENDS = frozenset(".!?…:。！？：．؟۔।॥።։’'\"”“»«)]}）】」』》*_`~|>")
_BEFORE_MORE = ":："
_EMOJI_ENDS = "\ufe0f\u20e3\u200d\U000e007f"
_NO_STOPS = re.compile(r"[\u0e00-\u0eff]")  # Thai and Lao sentences end with a space
_MARKED_LINE = re.compile(r"\s*(?:[-*+•#>|]|\d{1,4}[.)])")


def judge_language_quality(judged: Judged) -> float | None:
    """Return the product of the parts that the module describes; None without text to judge."""
    prose, is_open = _without_fences(judged.answer[:_SCANNED])
    prose = _LINK.sub(" ", prose)
    counts = Counter(prose)
    visible = sum(count for character, count in counts.items() if _is_seen(character))
    if not visible:
        return None
    damaged = sum(count for character, count in counts.items() if _is_damaged(character))
    if not prose.isascii():
        damaged += sum(len(found) for found in _MOJIBAKE.findall(prose))
    wordlike = sum(count for character, count in counts.items() if _is_wordlike(character))
    long, mixed, words = _words(prose)
    long += sum(len(found.group()) for found in _SAME.finditer(prose))
    score = 1 - min(1.0, 10 * damaged / visible)
    score *= min(1.0, wordlike / visible / 0.2)
    score *= 1 - min(1.0, long / visible)
    score *= 1 - min(1.0, 3 * mixed / words) if words else 1.0
    score *= 1 - min(0.3, _unbalanced(prose) + (0.2 if is_open else 0.0))
    return score if is_open else score * _finished(judged.answer, judged.finish_reason)


def _without_fences(text: str) -> tuple[str, bool]:
    """Return a text without its fenced code, and whether a fence is left open."""
    kept: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            if found is not None and found.group(1) == fence:
                fence = ""
        elif found is not None and line.count(found.group(1)) == 1:
            fence = found.group(1)
            kept.append("\n")
        else:
            kept.append(line)
    return "\n".join(kept), bool(fence)


@cache
def _category(character: str) -> str:
    return unicodedata.category(character)


def _is_seen(character: str) -> bool:
    return _category(character)[0] != "Z" and character not in "\t\n\r"


def _is_damaged(character: str) -> bool:
    if character == "\ufffd" or ord(character) & 0xFFFE == 0xFFFE:
        return True
    return _category(character) in ("Cc", "Cs", "Co") and character not in "\t\n\r"


def _is_wordlike(character: str) -> bool:
    kind = _category(character)
    # Emoji that are newer than Python's Unicode data are unassigned (Cn) to it.
    return kind[0] in "LMN" or kind in ("So", "Sk", "Cf", "Cn")


def _words(text: str) -> tuple[int, int, int]:
    """Return the characters in overlong words, the words of mixed scripts, and all words."""
    long = mixed = words = 0
    for unit in units(text):
        if unit.kind is not Kind.WORD:
            continue
        for part in _JOINTS.split(unit.text):
            words += 1
            # One character many times is counted by itself.
            long += len(part) if len(part) > _LONGEST_WORD and not _SAME.search(part) else 0
            mixed += not part.isascii() and _is_mixed(part)
    return long, mixed, words


def _is_mixed(word: str) -> bool:
    """Whether a word mixes scripts that words do not mix; a single Greek letter is a symbol."""
    scripts = Counter(_script(character) for character in word[:100] if character.isalpha())
    if scripts["GREEK"] == 1:
        del scripts["GREEK"]
    return len(scripts.keys() & _MIXING) > 1


@cache
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _unbalanced(text: str) -> float:
    bare = _SINGLE.sub(" ", _INLINE_CODE.sub(" ", text))
    single = _round_brackets(bare)
    single += sum(abs(bare.count(pair[0]) - bare.count(pair[1])) for pair in _PAIRS)
    single += bare.count('"') % 2 and not _INCHES.search(bare)
    single += sum(bare.count(mark) for mark in "„“”") % 2
    return 0.05 * single


def _round_brackets(text: str) -> int:
    """Return the number of unmatched round brackets, without those of enumerations."""
    depth = unmatched = 0
    for found in _ROUND.finditer(text):
        place = found.start()
        if text[place] == "(":
            depth += 1
        elif depth:
            depth -= 1
        else:
            unmatched += not _ENUMERATED.search(text[max(0, place - 5) : place])
    return unmatched + depth


def _finished(answer: str, finish_reason: str | None) -> float:
    text = answer.rstrip()
    line = text.rpartition("\n")[2]
    if finish_reason not in (None, "length") or not line:
        return 1.0
    if line[-1] in _ENDS and (finish_reason is None or line[-1] not in _BEFORE_MORE):
        return 1.0
    # An emoji or a link ends a sentence too. What marks an emoji may come last.
    is_emoji = line[-1] in _EMOJI_ENDS or _category(line[-1]) in ("So", "Sk", "Cn")
    if is_emoji or _LINK.match(line.rpartition(" ")[2]):
        return 1.0
    if finish_reason == "length":
        return 0.7
    if len(line) < _SHORTEST_CUT or _NO_STOPS.search(line) or _MARKED_LINE.match(line):
        return 1.0
    return 0.95


LANGUAGE_QUALITY = Evaluator(
    name="text_integrity",
    version="1",
    field="language_quality",
    purpose="Signs of broken text: damaged characters, overlong words, open brackets, a cut end.",
    judge=judge_language_quality,
)
