"""One reader of tables: CSV, Parquet, GeoParquet, GeoPackage and Shapefile, for gauges, catchments and discharge.

Text tables may be separated by commas, semicolons, tabs or bars (the header decides), encoded in UTF-8, UTF-16 with a
byte order mark, or Windows-1252, and have decimal commas where the separator is no comma. Blank lines, quotes, blanks
around values and the line ends of any system are harmless. What a file is, its first bytes decide, not its name.

Every error names file, line and column, and a remedy.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hydrocli.arrays import Floats
from hydrocli.basin.file_kinds import kind_of
from hydrocli.basin.vectors import is_geo_parquet, points_of, read_features
from hydrocli.errors import Errors, HydrocliError, InputError

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
MISSING = {"", "na", "nan", "null", "none"}
"""Marks of missing values, in small letters."""
SEPARATORS = ",;\t|"
SAMPLE_BYTES = 1_000_000
"""Of a large file, from which its encoding and separator are found."""
MOST_HEADER_LINES = 200
"""Of a text table, among which the names of its columns are looked for."""
_DECIMAL = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_LINE_END = re.compile("\r\r?\n|\r")
"""Some programs on Windows write a second carriage return, which would count as a blank line."""


@dataclass(frozen=True)
class Table:
    """Rows of a small table.

    Attributes:
        path: of the file.
        names: of the columns.
        rows: values by name; texts in a text table, typed values else, None where there is none.
        lines: line of each row in a text table, its number counted from 2 else.
        x, y: float64[rows], points of the geometry, where there are any.
        crs: WKT of their coordinate reference system, empty where there are none.
    """

    path: Path
    names: tuple[str, ...]
    rows: list[Row]
    lines: list[int]
    x: Floats | None = None
    y: Floats | None = None
    crs: str = ""

    def where(self, row: int) -> str:
        """File and line of a row, for messages."""
        return f"{self.path}:{self.lines[row]}"

    def require(self, columns: Sequence[str], example: str) -> None:
        """Refuse a table without some columns.

        Raises:
            InputError: names the columns that are absent, and those that are there.
        """
        absent = [name for name in columns if name not in self.names]
        if absent:
            found = f"It has {', '.join(self.names[:12])}." if self.names else "It is empty."
            remedy = f"{found} Rename its columns, for example {example}."
            raise InputError(str(self.path), f"has no column {', '.join(absent)}", remedy)

    def numbers(self, column: str, errors: list[HydrocliError]) -> Floats:
        """Values of a column, float64[rows], NaN where there is none; what is no number is added to `errors`."""
        values = np.full(len(self.rows), np.nan)
        for i, row in enumerate(self.rows):
            value = row[column]
            found = number(value) if isinstance(value, str) else value
            if found is None and value is not None:
                remedy = "Write numbers without separators of thousands, for example 1234.5."
                errors.append(InputError(self.where(i), f"{column} is {value!r}, not a number", remedy))
            elif found is not None:
                values[i] = float(found)
        return values


def read_table(path: Path, where: str, layer: str | None = None, layer_key: str = "") -> Table:
    """Read a whole small table.

    Args:
        path: of the file.
        where: key of the configuration that names it, for a file that is not there.
        layer: of a GeoPackage that has several.
        layer_key: key of the configuration that names the layer; empty where there is none.

    Raises:
        InputError: the file is not there, is no table, or cannot be decoded; or a row has more values than columns.
    """
    kind = kind_of(path, where)
    if kind == "text" and layer is not None:
        raise InputError(layer_key, f"{path} is a text table, which has no layers", "Remove the key.")
    if kind == "text":
        return _text_table(path)
    if kind == "Parquet" and layer is None and not is_geo_parquet(path):
        return _parquet_table(path)
    return _features_table(path, kind, layer, layer_key)


def is_plain_table(path: Path) -> bool:
    """Whether a file is a text table or Parquet without a geometry, by its name and its metadata."""
    suffix = path.suffix.lower()
    return suffix in (".csv", ".txt", ".tsv") or (suffix == ".parquet" and path.is_file() and not is_geo_parquet(path))


def read_catchments(path: Path, column: str = "code") -> list[Row]:
    """Rows of the catchments of a campaign, by name of the column; the column `code` holds texts.

    Args:
        path: of the table.
        column: that has the codes.

    Raises:
        InputError: the table cannot be read, is empty, or has no column of codes or a row without one.
    """
    table = read_table(path, "catchments.table")
    if not table.rows:
        raise InputError(str(path), "has no row")
    table.require((column,), "code,area")
    for number_of_row, row in enumerate(table.rows):
        if row[column] is None:
            raise InputError(table.where(number_of_row), "has no code")
        row["code"] = code_text(row[column])
    return table.rows


def code_text(value: Any) -> str:
    """A code as a text; one that a table holds as a number with a fraction of 0 has none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def files_by_code(folder: Path, codes: Sequence[str], suffixes: Sequence[str], where: str) -> tuple[str, ...]:
    """The file of each gauge below a folder, '' where there is none.

    A file is that of a gauge when its name holds the code between characters that are neither letters nor digits.

    Args:
        folder: below which they are.
        codes: of the gauges.
        suffixes: of the files, small letters.
        where: key of the configuration that names the folder.

    Raises:
        Errors: several files bear the code of one gauge.
    """
    files = (file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    by_word: dict[str, list[str]] = {}
    candidates = sorted(map(str, files))
    for path in candidates:
        for word in set(re.split(r"[^A-Za-z0-9]+", Path(path).stem)):
            by_word.setdefault(word, []).append(path)
    errors: list[HydrocliError] = []
    found = []
    for code in codes:
        try:
            is_word = code.isascii() and code.isalnum()
            found.append(_file_of(code, by_word.get(code, []) if is_word else candidates, where))
        except InputError as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else Errors(errors)
    return tuple(found)


def _file_of(code: str, candidates: list[str], where: str) -> str:
    """The file whose name holds the code as a whole word, '' where there is none."""
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(code)}(?![A-Za-z0-9])")
    found = [path for path in candidates if word.search(Path(path).stem)]
    exact = [path for path in found if Path(path).stem == code]
    chosen = exact if len(exact) == 1 else found
    if len(chosen) > 1:
        raise InputError(where, f"gauge {code} has several files: {', '.join(chosen)}", "Keep one of them there.")
    return chosen[0] if chosen else ""


def parts_of(path: Path) -> list[str]:
    """Files that belong to an input: itself, the companions of a Shapefile, all that lies in a folder."""
    if path.is_dir():
        return sorted(str(part) for part in path.rglob("*") if part.is_file())
    if path.suffix.lower() == ".shp":
        return sorted(str(part) for part in path.parent.glob(f"{path.stem}.*"))
    return [str(path)]


def number(text: str) -> float | None:
    """A number as tables have it, with a decimal point or comma; None for any other text."""
    try:
        return float(text)
    except ValueError:
        is_decimal_comma = re.fullmatch(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", text)
        return float(text.replace(",", ".")) if is_decimal_comma else None


def read_text(path: Path) -> str:
    """All of a text file, with line ends of one kind.

    Raises:
        InputError: it is not there, or no text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(str(path), "does not exist, or not any more") from None
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", "Change its permissions.") from error
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        what = f"is not a text in any known encoding (byte {error.start})"
        raise InputError(str(path), what, "Save it as UTF-8.") from error
    return _LINE_END.sub("\n", text)


@dataclass(frozen=True)
class Columns:
    """Some columns of a large table.

    Attributes:
        path: of the file.
        frame: the columns; texts of a text table, typed values else. Its index counts the rows from 0.
        others: names of the columns that are left out.
        layout: of a text table, whose rows have lines; else None.
    """

    path: Path
    frame: pd.DataFrame
    others: list[str]
    layout: Layout | None

    @property
    def written(self) -> str:
        """How the file is written, in words."""
        if self.layout is None:
            return "Parquet"
        separator = {"\t": "tabs", ",": "commas", ";": "semicolons", " ": "blanks"}.get(self.layout.separator, "text")
        return f"text in {self.layout.encoding.removesuffix('-sig').upper()} with {separator}"

    def where(self, row: int) -> str:
        """File and line of a row, for messages; the number of the row counted from 2 where there are no lines."""
        if self.layout is None:
            return f"{self.path}:{row + 2}"
        text = "\n".join(read_text(self.path).split("\n")[self.layout.skip :])
        reader = csv.reader(io.StringIO(text), delimiter=self.layout.separator)
        lines = (self.layout.skip + reader.line_num for values in reader if any(map(str.strip, values)))
        return f"{self.path}:{next(islice(lines, int(row), None), row + 2)}"


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Attributes:
        separator: of the columns.
        encoding: of the text.
        skip: number of lines before the first row.
    """

    separator: str
    encoding: str
    skip: int


@dataclass(frozen=True)
class LargeTable:
    """A table, CSV or Parquet, of which nothing but the header is read yet.

    Attributes:
        path: of the table.
        names: of the columns, without blanks around them; those without a name, or with one that is there before,
            have their number from 0 in its place.
        layout: of a text table, else None.
    """

    path: Path
    names: tuple[str, ...]
    layout: Layout | None

    def read(self, columns: Mapping[str, str]) -> Columns:
        """Read some columns.

        Args:
            columns: name in the file of each column, by the name that it has in the result.

        Raises:
            InputError: the table cannot be read.
        """
        own = list(dict.fromkeys(columns.values()))
        frame = _text_frame(self, own) if self.layout else _parquet_frame(self.path, own)
        frame = frame[list(columns.values())].set_axis(list(columns), axis=1)
        return Columns(self.path, frame, [name for name in self.names if name not in own], self.layout)


def open_table(path: Path, is_header: Callable[[list[str]], bool] | None = None) -> LargeTable:
    """Read the header of a large table.

    Args:
        path: of the table.
        is_header: whether a line of a text, by its cells, names the columns; the last one of them does. None, or
            where there is none: the first line that is neither blank nor begins with #.

    Raises:
        InputError: it is no table.
    """
    kind = kind_of(path, str(path))
    if kind not in ("text", "Parquet"):
        raise InputError(str(path), f"is a {kind}, a CSV or Parquet table is expected", "Export it as CSV.")
    if kind == "Parquet":
        return LargeTable(path, _distinct(_parquet_names(path)), None)
    cells, layout = _text_header(path, is_header)
    return LargeTable(path, _distinct(cells), layout)


def read_columns(path: Path, columns: Sequence[str], example: str) -> Columns:
    """Read some columns of a large table, CSV or Parquet.

    Args:
        path: of the table.
        columns: names wanted, in small letters; those of the file may have capitals and blanks around them.
        example: of a header, for messages.

    Raises:
        InputError: a column is absent, or the table cannot be read.
    """
    table = open_table(path)
    own = {name.lower(): name for name in table.names}
    Table(path, tuple(own), [], []).require(columns, example)
    return table.read({name: own[name] for name in columns})


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, see `LargeTable`."""
    stripped = [name.strip() for name in names]
    return tuple(
        name if name and name not in stripped[:number] else f"{name}#{number}" for number, name in enumerate(stripped)
    )


def _encoding(data: bytes) -> str:
    """Of a text, or of the beginning of one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(data) - 3:  # not a character that the beginning of a file cuts in two
            return "cp1252"
    return "utf-8-sig"


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _text_table(path: Path) -> Table:
    text = read_text(path)
    header = next((line for line in text.split("\n") if line.strip()), "")
    csv.field_size_limit(sys.maxsize)  # a column of geometries may have texts of any length
    lines = csv.reader(io.StringIO(text), delimiter=_separator(header), skipinitialspace=True)
    try:
        cells = [(lines.line_num, [cell.strip() for cell in row]) for row in lines if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}:{lines.line_num}", f"cannot be read as CSV ({error})", "Check its quotes.") from error
    if not cells:
        return Table(path, (), [], [])
    names, rows = cells[0][1], cells[1:]
    for line, values in rows:
        if any(values[len(names) :]):
            what = f"has {len(values)} values, the header has {len(names)} columns"
            remedy = "If these are decimal commas, separate the columns by semicolons." if "," in header else ""
            raise InputError(f"{path}:{line}", what, remedy)
    padded = [[*values, *[""] * len(names)] for _, values in rows]
    records = [{name: _value(value) for name, value in zip(names, row, strict=False)} for row in padded]
    return Table(path, tuple(names), records, [line for line, _ in rows])


def _parquet_table(path: Path) -> Table:
    columns = {name: column for name, column in _parquet(path, None).items() if name != "geometry"}
    values = [[_value(value) for value in column] for column in columns.values()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    return Table(path, tuple(columns), rows, list(range(2, len(rows) + 2)))


def _features_table(path: Path, kind: str, layer: str | None, layer_key: str) -> Table:
    """A layer of points, or of anything whose table has coordinates.

    Raises:
        InputError: see `read_features`.
    """
    features = read_features(path, kind, layer, layer_key)
    rows = [dict(zip(features.names, map(_value, row), strict=True)) for row in zip(*features.columns, strict=True)]
    points = points_of(features)
    x, y = points if points is not None else (None, None)
    lines = list(range(2, len(rows) + 2))
    return Table(path, features.names, rows, lines, x, y, features.crs if points is not None else "")


def _value(value: Any) -> Any:
    """A value in plain Python, None where there is none."""
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in MISSING else text
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple):
        return [_value(part) for part in value]
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value


def _parquet(path: Path, columns: Sequence[str] | None) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=columns) if path.is_dir() else pq.ParquetFile(path).read(columns=columns)
        return {name: table[name].to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read as Parquet ({error})", "Replace it by a sound copy.") from error


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = next(iter(sorted(path.rglob("*.parquet")))) if path.is_dir() else path
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(str(file), f"cannot be read as Parquet ({error})", "Replace it by a sound copy.") from error


def _parquet_frame(path: Path, columns: list[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path, columns=columns)[columns].reset_index(drop=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(str(path), f"cannot be read as Parquet ({error})", "Replace it by a sound copy.") from error


def _text_header(path: Path, is_header: Callable[[list[str]], bool] | None) -> tuple[list[str], Layout]:
    """Names of the columns and layout of a text table, from its beginning."""
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    encoding = _encoding(head)
    lines = _LINE_END.sub("\n", head.decode(encoding, errors="replace")).split("\n")[:MOST_HEADER_LINES]
    is_named = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    if is_header:
        is_named = [i for i, line in enumerate(lines) if is_header(_cells(line, _separator(line)))][-1:] or is_named
    number = is_named[0] if is_named else 0
    separator = _separator(lines[number])
    return _cells(lines[number].lstrip("#"), separator), Layout(separator, encoding, number + 1)


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _text_frame(table: LargeTable, columns: list[str]) -> pd.DataFrame:
    """Columns of a large text table, as texts."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv

    path, layout = table.path, table.layout
    assert layout is not None
    with path.open("rb") as file:
        has_second_return = b"\r\r\n" in file.read(SAMPLE_BYTES)
    odd: list[tuple[str, int]] = []

    def refuse(row: Any) -> str:
        odd.append((row.text, row.actual_columns))
        return "skip"

    convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), include_columns=columns)
    parse = pa.csv.ParseOptions(delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=refuse)
    for code in (layout.encoding, "cp1252"):
        source = io.BytesIO(read_text(path).encode()) if has_second_return else path
        known = {"utf-8-sig": "utf8"}.get("utf-8-sig" if has_second_return else code, code)
        read = pa.csv.ReadOptions(column_names=list(table.names), skip_rows=layout.skip, encoding=known)
        try:
            found = pa.csv.read_csv(source, read, parse, convert)
        except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
            if "UTF8" in str(error):  # beyond the part that the encoding was found from
                continue
            if "Empty CSV" in str(error):  # a header and no row
                return pd.DataFrame({name: pd.array([], pd.StringDtype("pyarrow")) for name in columns})
            what = f"cannot be read as a table ({str(error).splitlines()[0]})"
            raise InputError(str(path), what, "Check its quotes and separators.") from error
        if odd:
            raise _odd_lines(table)
        return found.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)
    raise InputError(str(path), "is not a text in any known encoding", "Save it as UTF-8.")


def column_numbers(column: Any) -> Floats:
    """Numbers of a column of a large table, with decimal points or commas, float64[rows]; NaN where there is none."""
    import pandas as pd

    values = _decimals(column)
    if pd.api.types.is_numeric_dtype(column):
        return values
    others = np.flatnonzero(np.isnan(values))  # all texts are looked at only where something is no such number
    text = column.iloc[others].astype("string").str.strip().str.lower().fillna("")
    comma = text.str.fullmatch(r"[+-]?\d*,\d+(?:e[+-]?\d+)?").to_numpy(bool)
    values[others[comma]] = text[comma].str.replace(",", ".", regex=False).astype(np.float64)
    return values


def _decimals(column: Any) -> Floats:
    """Numbers with decimal points of a column, each the nearest one in double precision; NaN where there is none."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column.dtype, pd.StringDtype):
        return np.array(pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan))
    texts = pc.utf8_trim_whitespace(pa.array(column.array, pa.large_string()))
    usual = pc.fill_null(pc.match_substring_regex(texts, _DECIMAL), False)
    values = pc.cast(pc.if_else(usual, texts, None), pa.float64()).to_numpy(zero_copy_only=False)
    others = np.flatnonzero(~usual.to_numpy(zero_copy_only=False))
    result = np.array(values)
    result[others] = pd.to_numeric(column.iloc[others], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return result


def _odd_lines(table: LargeTable) -> HydrocliError:
    """The first lines of a text table whose number of values is not that of the columns."""
    path, layout, columns = table.path, table.layout, len(table.names)
    assert layout is not None
    text = "\n".join(read_text(path).split("\n")[layout.skip :])
    reader = csv.reader(io.StringIO(text), delimiter=layout.separator, skipinitialspace=True)
    odd = [(layout.skip + reader.line_num, len(row)) for row in reader if row and len(row) != columns]
    remedy = "If these are decimal commas, separate the columns by semicolons." if layout.separator == "," else ""
    errors: list[HydrocliError] = [
        InputError(f"{path}:{line}", f"has {count} values, the header has {columns} columns", remedy)
        for line, count in odd[:3]
    ]
    return errors[0] if len(errors) == 1 else Errors(errors)
