"""Cells of text."""

from __future__ import annotations

from tests.acceptance.bad_input.case import Case, named

MEGABYTE = 1_000_000


def cases() -> list[Case]:
    """All texts; the truth is the text that encoders are given."""
    used: dict[str, tuple[str, str]] = {
        "NUL inside": ("a\0b", "ab"),
        "every control character": ("".join(map(chr, range(32))) + "x\x7f", " " * 9 + "x"),
        "bell and escape": ("\x07\x1b[31mred", "[31mred"),
        "line breaks of every kind": ("a\nb\r\nc\u2028d\u2029e\x85f", "a b  c d e f"),
        "right to left": ("שלום عليكم", "שלום عليكم"),
        "right to left override": ("abc\u202edef", "abc\u202edef"),
        "both directions": ("price 12 ש״ח today", "price 12 ש״ח today"),
        "only emoji": ("😀👍🏽👩‍👩‍👧🇦🇹", "😀👍🏽👩‍👩‍👧🇦🇹"),
        "one letter": ("a", "a"),
        "only punctuation": ("?!...---", "?!...---"),
        "a letter and 500 accents": ("a" + "\u0301" * 500, "á" + "\u0301" * 499),
        "decomposed": ("cafe\u0301", "café"),
        "full width": ("ＡＢＣ", "ＡＢＣ"),
        "byte order mark inside": ("a\ufeffb", "a\ufeffb"),
        "no character": ("\uffff\ufffe", "\uffff\ufffe"),
        "private use": ("\ue000\U0010fffd", "\ue000\U0010fffd"),
        "zero width alone": ("\u200b\u200d", "\u200b\u200d"),
        "soft hyphen": ("Donau\u00addampf", "Donau\u00addampf"),
        "Chinese without spaces": ("今天天气很好" * 50, "今天天气很好" * 50),
        "Thai": ("สวัสดีชาวโลก", "สวัสดีชาวโลก"),
        "HTML": ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        "Jinja": ("{{ 7*7 }}{% raw %}", "{{ 7*7 }}{% raw %}"),
        "SQL": ("'; DROP TABLE x; --", "'; DROP TABLE x; --"),
        "formula of a spreadsheet": ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0"),
        "format string": ("%s%n{0.__class__}", "%s%n{0.__class__}"),
        "special tokens": ("<pad><unk>[CLS][SEP]</s>▁", "<pad><unk>[CLS][SEP]</s>▁"),
        "a number": ("1e999", "1e999"),
        "JSON": ('{"a": [1, null]}', '{"a": [1, null]}'),
        "backslashes": ("\\u0041\\x00", "\\u0041\\x00"),
        "a token of 1 MB": ("x" * MEGABYTE, "x" * MEGABYTE),
        "1 MB of words": ("word " * (MEGABYTE // 5), "word " * (MEGABYTE // 5)),
        "1 MB of emoji": ("😀" * (MEGABYTE // 4), "😀" * (MEGABYTE // 4)),
        "1 MB of line breaks and a word": ("\n" * MEGABYTE + "x", " " * MEGABYTE + "x"),
        "1 MB of different letters": (
            "".join(chr(0x4E00 + at % 20000) for at in range(MEGABYTE // 3)),
            "".join(chr(0x4E00 + at % 20000) for at in range(MEGABYTE // 3)),
        ),
    }
    refused = {
        "empty": "",
        "only spaces": "   ",
        "only line breaks": "\r\n\t\u2028",
        "no-break spaces": "\u00a0\u3000",
        "lone surrogate": "a\ud800b",
        "lone low surrogate": "\udc00",
        "surrogates the wrong way round": "\udc00\ud800",
        "surrogate at the end of 1 MB": "x" * MEGABYTE + "\udfff",
    }
    return named(
        [Case("texts", name, text, "used", truth) for name, (text, truth) in used.items()]
        + [Case("texts", name, text, "refused") for name, text in refused.items()]
    )
