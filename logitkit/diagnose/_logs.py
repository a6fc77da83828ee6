"""Losses out of the logs that people have: CSV, JSON lines, JSON, TensorBoard's event files, and text."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Columns = dict[str, list[float]]
EVENTS = "*tfevents*"
NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
NAMED = re.compile(rf"([\w./-]*loss[\w./-]*)[\"']?\s*[:=]\s*({NUMBER})", re.IGNORECASE)


def read_log(path: str | Path) -> Columns:
    """Read the numbers of a training log, by name.

    The content of the file says what kind it is: TensorBoard's event files (or a folder of them), JSON (a list of
    objects, an object of lists, or one with a ``log_history``), lines of JSON or of Python dictionaries, CSV or
    tab-separated values with a heading, numbers, or any text with ``loss: 1.46`` or ``loss=1.46`` in it.

    Parameters
    ----------
    path : str or Path
        The file, or ``-`` for standard input.

    Returns
    -------
    dict of str to list of float
        The columns that hold numbers, in the order of the file; a missing value is left out.

    Raises
    ------
    OSError
        If there's no such file.
    ValueError
        If it holds no numbers.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob(EVENTS))
        columns = _gathered(pair for file in files for pair in _events(file.read_bytes()))
    else:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        columns = _gathered(_events(data)) if _is_events(data) else _text(data)
    if not any(columns.values()):
        raise ValueError(f"{path} holds no numbers that could be losses")
    return columns


def _gathered(pairs: Iterable[tuple[str, Any]]) -> Columns:
    columns: Columns = {}
    for name, value in pairs:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            columns.setdefault(name, []).append(float(value))
    return columns


def _text(data: bytes) -> Columns:
    text = data.decode("utf-8-sig", errors="replace")
    for reader in (_json, _lines_of_objects, _numbers, _table, _named):
        columns = _gathered(reader(text))
        if columns:
            return columns
    return {}


def _json(text: str) -> Iterator[tuple[str, Any]]:
    try:
        content = json.loads(text)
    except ValueError:
        return
    if isinstance(content, dict):
        content = content.get("log_history", content)
    if isinstance(content, list):
        for row in content:
            yield from row.items() if isinstance(row, dict) else [("loss", row)]
    elif isinstance(content, dict):
        for name, values in content.items():
            for value in values if isinstance(values, list) else [values]:
                yield name, value


def _lines_of_objects(text: str) -> Iterator[tuple[str, Any]]:
    for line in text.splitlines():
        if line.lstrip().startswith("{"):
            row = _object(line.strip())
            yield from row.items() if isinstance(row, dict) else ()


def _object(line: str) -> Any:
    for read in (json.loads, ast.literal_eval):  # a printed dictionary has single quotes
        try:
            return read(line)
        except (ValueError, SyntaxError):
            continue
    return None


def _number(word: str) -> float | None:
    word = word.strip()
    return float(word) if re.fullmatch(NUMBER, word, re.IGNORECASE) else None


def _numbers(text: str) -> Iterator[tuple[str, Any]]:
    values = [_number(word) for word in text.replace(",", " ").split()]
    if None not in values:
        yield from (("loss", value) for value in values)


def _table(text: str) -> Iterator[tuple[str, Any]]:
    lines = [line for line in text.splitlines() if line.strip()]
    separator = max(",\t;", key=lambda each: lines[0].count(each)) if lines else ","
    if lines and (separator in lines[0] or all(_number(line) is not None for line in lines[1:])):
        for row in csv.DictReader(io.StringIO("\n".join(lines)), delimiter=separator):
            for name, word in row.items():
                if name and isinstance(word, str):
                    yield name.strip(), _number(word)


def _named(text: str) -> Iterator[tuple[str, Any]]:
    for name, word in NAMED.findall(text):
        yield name, float(word)


def _is_events(data: bytes) -> bool:
    """Whether this is a file of records that begins with TensorBoard's version."""
    return b"brain.Event:" in data[:64]


def _events(data: bytes) -> Iterator[tuple[str, Any]]:
    """The scalars of an event file. A record is its length, a checksum, the event and a checksum.

    The last record may be cut off, since the file is often still being written.
    """
    place = 0
    while place + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        event = data[place + 12 : place + 12 + length]
        place += 12 + length + 4
        if len(event) < length:
            return
        for number, summary in _fields(event):
            if number == 5:
                for _, value in _fields(summary):
                    yield from _scalar(value)


def _scalar(message: bytes) -> Iterator[tuple[str, Any]]:
    fields = dict(_fields(message))
    tag = fields.get(1, b"").decode("utf-8", errors="replace")
    if 2 in fields:
        yield tag, struct.unpack("<f", fields[2])[0]
    elif 8 in fields:
        value = _tensor(dict(_fields(fields[8])))
        if value is not None:
            yield tag, value


def _tensor(fields: dict[int, Any]) -> float | None:
    """A tensor of one number, in float32 or float64, packed as content or as values."""
    size, form = {1: (4, "<f"), 2: (8, "<d")}.get(fields.get(1, 0), (0, ""))
    raw = fields.get(4) or fields.get(5 if size == 4 else 6)
    if not size or not isinstance(raw, bytes) or len(raw) != size:
        return None
    return float(struct.unpack(form, raw)[0])


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol buffer: integers as such, everything else as bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(message, place)
        else:
            length = {1: 8, 5: 4}[wire]
        yield number, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7


def losses_of(columns: Columns, column: str | None = None) -> Columns:
    """The columns that hold losses: the one that is named, or all with "loss" in their names, or the only one.

    Parameters
    ----------
    columns : dict of str to list of float
        The columns of a log, as `read_log` returns them.
    column : str, optional
        The name of the one that you want.

    Returns
    -------
    dict of str to list of float
        Those columns, in the same order.

    Raises
    ------
    ValueError
        If there's no such column, or if you name none and it isn't clear which one holds losses.

    Examples
    --------
    >>> from logitkit.diagnose import losses_of
    >>> losses_of({"step": [1, 2], "val_loss": [2.3, 1.9]})
    {'val_loss': [2.3, 1.9]}
    """
    names = list(columns)
    if column is not None:
        if column not in columns:
            raise ValueError(f"there's no column {column!r}; there are {', '.join(names)}")
        return {column: columns[column]}
    found = {name: columns[name] for name in names if "loss" in name.lower()} or (columns if len(names) == 1 else {})
    if not found:
        raise ValueError(f"no column is called loss; name one with --column: {', '.join(names)}")
    return found
