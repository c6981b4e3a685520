"""Pipeline files: not YAML, not UTF-8, bombs, wrong types, and odd but right."""

from __future__ import annotations

from tests.acceptance.bad_input.case import Case, named, tenths

VALID = """\
name: shoes
data:
  source: rows.csv
  split: {column: split}
inputs:
  note:
    modality: text
    columns: note
fusion: {name: late}
training: {epochs: 3, learning_rate: 0.01}
seed: 7
"""
_LAUGHS = "\n".join(
    ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"b{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
)
_QUADRATIC = "a: &a " + "x" * 20_000 + "\nb: [" + ", ".join(["*a"] * 20_000) + "]"


def cases() -> list[Case]:
    """All files; the truth of those that are right is the seed and the name."""
    all_cases = [
        Case("configs", name, text.encode() if isinstance(text, str) else text, "refused")
        for name, text in {**_broken(), **_bombs(), **_wrong()}.items()
    ]
    all_cases += [
        Case("configs", name, text.encode() if isinstance(text, str) else text, "used", truth)
        for name, (text, truth) in _odd().items()
    ]
    cut = [Case("configs", how, data, "either") for how, data in tenths(VALID.encode())]
    return named([*all_cases, *cut])


def _broken() -> dict[str, str | bytes]:
    """Files that no reader can make sense of."""
    return {
        "empty": "",
        "only a comment": "# nothing\n",
        "a list": "- 1\n- 2\n",
        "a word": "shoes\n",
        "a number": "42\n",
        "binary": bytes(range(256)),
        "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "Windows-1252": VALID.replace("shoes", "schöne").encode("cp1252"),
        "UTF-32": VALID.encode("utf-32"),
        "NUL": VALID + "\0",
        "escape character": VALID + "# \x1b\n",
        "lone surrogate": b"name: \xed\xa0\x80\n",
        "tab as indent": "name: t\ndata:\n\tsource: x\n",
        "unclosed bracket": VALID + "inputs: {a: [\n",
        "unclosed quote": 'name: "shoes\n',
        "two documents": VALID + "---\n" + VALID,
        "key twice": VALID + "seed: 8\n",
        "section twice": VALID + "data: {source: other.csv}\n",
        "unknown anchor": VALID + "x: *nowhere\n",
        "key that is a list": "? [a, b]\n: 1\n",
        "key that is a mapping": "? {a: b}\n: 1\n",
        "merge of a number": VALID + "engine: {<<: 3}\n",
        "a day that is none": VALID + "seed2: 2024-13-45\n",
        "a time that is none": VALID + "seed2: 2024-01-01 99:99:99\n",
        "sexagesimal": VALID + "seed2: 190:20:30\n",
        "5000 digits": VALID.replace("seed: 7", "seed: " + "9" * 5000),
        "hexadecimal of 20000 digits": VALID.replace("seed: 7", "seed: 0x" + "f" * 20_000),
        "bad base64": VALID + "seed2: !!binary '%%%'\n",
        "a Python object": VALID + "x: !!python/object/apply:os.system ['true']\n",
        "a Python name": VALID + "x: !!python/name:os.system\n",
        "an unknown tag": VALID + "x: !mine 3\n",
        "an int that is none": VALID.replace("seed: 7", "seed: !!int x"),
        "a float that is none": VALID.replace("0.01", "!!float x"),
        "an empty int": VALID.replace("seed: 7", 'seed: !!int ""'),
        "an empty float": VALID.replace("0.01", '!!float ""'),
        "an empty truth": VALID.replace("seed: 7", 'seed: !!bool ""'),
        "an empty time": VALID.replace("seed: 7", 'seed: !!timestamp ""'),
        "a set": VALID + "x: !!set {a, b}\n",
        "pairs of numbers": VALID + "x: !!pairs [1, 2]\n",
    }


def _bombs() -> dict[str, str | bytes]:
    """Little files that become enormous, or without end."""
    return {
        "laughs without end": VALID + _LAUGHS,
        "laughs where a source should be": VALID.replace("rows.csv", "*a9").replace(
            "name: shoes", f"name: shoes\n{_LAUGHS}"
        ),
        "quadratic": VALID + _QUADRATIC,
        "a list that holds itself": VALID + "x: &x [*x]\n",
        "a mapping that holds itself": VALID + "x: &x {y: *x}\n",
        "inputs that hold themselves": "name: t\ndata: {source: x}\ninputs: &i {note: *i}\n",
        "merges of merges": VALID
        + "\n".join(
            ["m0: &m0 {k0: 1}"]
            + [f"m{at}: &m{at} {{<<: [{', '.join([f'*m{at - 1}'] * 10)}], k{at}: 1}}" for at in range(1, 9)]
        ),
        "100000 brackets": VALID + "x: " + "[" * 100_000,
        "5000 brackets, closed": VALID + "x: " + "[" * 5000 + "]" * 5000,
        "5000 sections deep": VALID + "".join(f"{' ' * at}k:\n" for at in range(1500)),
        "a name of 5 MB": VALID.replace("shoes", "s" * 5_000_000),
        "200000 keys": VALID + "".join(f"k{at}: 1\n" for at in range(200_000)),
    }


def _wrong() -> dict[str, str | bytes]:
    """YAML that is no pipeline."""
    swaps: dict[str, tuple[str, str]] = {
        "name a list": ("name: shoes", "name: [shoes]"),
        "name a number": ("name: shoes", "name: 3"),
        "name null": ("name: shoes", "name:"),
        "name with a slash": ("name: shoes", "name: ../shoes"),
        "name with a line break": ("name: shoes", 'name: "a\\nb"'),
        "no name": ("name: shoes\n", ""),
        "data a list": ("  source: rows.csv\n  split: {column: split}", "  [1, 2]"),
        "source a number": ("rows.csv", "3"),
        "source null": ("source: rows.csv", "source:"),
        "source a mapping": ("rows.csv", "{a: b}"),
        "seed a word": ("seed: 7", "seed: seven"),
        "seed a list": ("seed: 7", "seed: [7]"),
        "seed negative": ("seed: 7", "seed: -1"),
        "seed a fraction": ("seed: 7", "seed: 7.5"),
        "seed not a number": ("seed: 7", "seed: .nan"),
        "seed infinite": ("seed: 7", "seed: .inf"),
        "seed a date": ("seed: 7", "seed: 2024-01-01"),
        "rate not a number": ("0.01", ".nan"),
        "rate infinite": ("0.01", ".inf"),
        "rate zero": ("0.01", "0"),
        "rate a truth": ("0.01", "[true]"),
        "epochs a fraction": ("epochs: 3", "epochs: 3.5"),
        "epochs zero": ("epochs: 3", "epochs: 0"),
        "unknown fusion": ("name: late", "name: latte"),
        "fusion without a name": ("{name: late}", "{width: 3}"),
        "unknown modality": ("modality: text", "modality: smell"),
        "no modality": ("    modality: text\n", ""),
        "columns a number": ("columns: note", "columns: 3"),
        "columns empty": ("columns: note", "columns: []"),
        "columns null": ("columns: note", "columns:"),
        "columns of lists": ("columns: note", "columns: [[note]]"),
        "inputs empty": ("  note:\n    modality: text\n    columns: note", "  {}"),
        "inputs a list": ("  note:\n    modality: text\n    columns: note", "  [note]"),
        "input called like Python": ("  note:", "  __class__:"),
        "input called by a reserved word": ("  note:", "  split:"),
        "input called with a dot": ("  note:", "  a.b:"),
        "input called by a number": ("  note:", "  3:"),
        "input called null": ("  note:", "  null:"),
        "unknown option": ("seed: 7", "sead: 7"),
        "unknown option of null": ("seed: 7", "null: 7"),
        "option of a list": ("seed: 7", "? [a]\n: 7"),
        "split a number": ("{column: split}", "3"),
        "split that leaves no rows": ("{column: split}", "{val: 0.6, test: 0.6}"),
        "split not a number": ("{column: split}", "{val: .nan}"),
        "byte order mark inside": ("seed: 7", "\ufeffseed: 7"),
    }
    return {name: VALID.replace(*swap) for name, swap in swaps.items()}


def _odd() -> dict[str, tuple[str | bytes, tuple[str, int]]]:
    """Right, if unusual."""
    crowd = "".join(f"  n{at}: {{modality: text, columns: note}}\n" for at in range(40))
    return {
        "plain": (VALID, ("shoes", 7)),
        "byte order mark": (b"\xef\xbb\xbf" + VALID.encode(), ("shoes", 7)),
        "UTF-16": (VALID.encode("utf-16"), ("shoes", 7)),
        "CRLF": (VALID.replace("\n", "\r\n"), ("shoes", 7)),
        "JSON": (
            '{"name": "shoes", "data": {"source": "x"}, "inputs": '
            '{"note": {"modality": "text", "columns": ["note"]}}, "seed": 7}',
            ("shoes", 7),
        ),
        "anchors": (
            VALID.replace("note\nfusion", "note\n    fit: &t {epochs: 2}\nfusion").replace(
                "training: {epochs: 3, learning_rate: 0.01}", "training: *t"
            ),
            ("shoes", 7),
        ),
        "a merge": (
            VALID.replace(
                "training: {epochs: 3, learning_rate: 0.01}",
                "training: {<<: {epochs: 3}, learning_rate: 0.01}",
            ),
            ("shoes", 7),
        ),
        "forty inputs": (VALID.replace("fusion:", crowd + "fusion:"), ("shoes", 7)),
        "end marks": ("---\n" + VALID + "...\n", ("shoes", 7)),
        "seed written as a float": (VALID.replace("seed: 7", "seed: 7.0"), ("shoes", 7)),
        "seed with underscores": (VALID.replace("seed: 7", "seed: 1_000"), ("shoes", 1000)),
    }
