"""Files inside of zip and tar archives, and compressed ones, without unpacking anything to disk.

A member of an archive has the path `<archive>/<name of the member>`, as if the archive were a folder. A file whose name
ends with .gz is decompressed when it is read. Archives may be anywhere below the folder of a forcing.

What is wrong with an archive is an `OSError`, like what is wrong with a file.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (".zip", *TARS)
COMPRESSED = ".gz"
_INSIDE = re.compile(rf"({'|'.join(map(re.escape, ARCHIVES))})/", re.IGNORECASE)
_FAULTS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    NotImplementedError,  # a compression that Python does not have
    RuntimeError,  # encrypted
)


@dataclass(frozen=True, eq=False)
class Container:
    """An open archive: names of its files, and what reads one of them."""

    names: tuple[str, ...]
    read: Callable[[str], bytes]


def is_archive(name: str) -> bool:
    """Whether a name is that of an archive."""
    return name.lower().endswith(ARCHIVES)


def file_of(path: str) -> str:
    """The file on disk that holds a path: the archive of a member, else the path itself."""
    return _split(path)[0]


def parts_on_disk(paths: Iterable[str]) -> list[str]:
    """The files that hold some paths, each once: archives of members, and all files of folders (stores of Zarr)."""
    found: dict[str, None] = {}
    for path in dict.fromkeys(map(file_of, paths)):
        if os.path.isdir(path):  # noqa: PTH112 - tens of thousands of paths
            inside = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)  # noqa: PTH118
            found |= dict.fromkeys(sorted(inside))
        else:
            found[path] = None
    return list(found)


def is_packed(path: str) -> bool:
    """Whether a path can only be read by `read_bytes`: a member of an archive, or a compressed file."""
    return path.lower().endswith(COMPRESSED) or bool(_split(path)[1])


def read_bytes(path: str) -> bytes:
    """All bytes of a file, of a member of an archive, or of a compressed one.

    Raises:
        OSError: it is not there, or damaged.
    """
    archive, member = _split(path)
    with _faults_as_os_errors(path):
        if member:
            content = _container(archive).read(member)
        else:
            with open(path, "rb") as file:  # noqa: PTH123 - a path of any bytes
                content = file.read()
        return gzip.decompress(content) if path.lower().endswith(COMPRESSED) else content


def members(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """Paths of the files in an archive that end with one of the suffixes (small letters), compressed or not.

    Raises:
        OSError: it is not there, or damaged.
    """
    return [f"{path}/{name}" for name in _container(path).names if has_suffix(name, suffixes)]


def has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a name ends with one of the suffixes (small letters), also when .gz follows."""
    return name.lower().removesuffix(COMPRESSED).endswith(suffixes)


def _split(path: str) -> tuple[str, str]:
    """Archive and member; the path itself and nothing where it is no member. A folder may be named like an archive."""
    for match in _INSIDE.finditer(path):
        if os.path.isfile(path[: match.end(1)]):  # noqa: PTH113 - thousands of paths
            return path[: match.end(1)], path[match.end() :]
    return path, ""


def _container(path: str) -> Container:
    with _faults_as_os_errors(path):
        state = os.stat(path)  # noqa: PTH116 - as above
        return _opened(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(path: str, size: int, changed: int) -> Container:
    """The archive of a path; size and time of change tell it from an older one of that name."""
    if path.lower().endswith(".zip"):
        archive = zipfile.ZipFile(path)
        return _closed_with(
            Container(tuple(info.filename for info in archive.infolist() if not info.is_dir()), archive.read), archive
        )
    # Members of a compressed tar are reached by decompressing all before them: cheap in the order of the archive.
    tar = tarfile.open(path)  # noqa: SIM115 - closed with its container
    files = {info.name: info for info in tar if info.isfile()}

    def read(name: str) -> bytes:
        file = tar.extractfile(files[name])
        if file is None:
            raise KeyError(name)
        with file:
            return file.read()

    return _closed_with(Container(tuple(files), read), tar)


def _closed_with(container: Container, archive: zipfile.ZipFile | tarfile.TarFile) -> Container:
    """The container; its archive is closed when it leaves the cache, or when the process ends."""
    weakref.finalize(container, archive.close)
    return container


@contextmanager
def _faults_as_os_errors(path: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        text = str(error) or type(error).__name__
        raise OSError(f"{path}: the archive or compressed file is damaged, or lacks this member ({text})") from error
