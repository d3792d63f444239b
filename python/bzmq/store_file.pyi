import os
from collections.abc import Callable

_Folder = str | os.PathLike[str]
_Progress = Callable[[str, int, int], object] | None

class Summary:
    store: str
    epoch: int
    last: int
    log_first: int
    values: int
    expiring: int
    writers: int
    bytes_used: int
    bytes_of_file: int

def check(store: _Folder, progress: _Progress = None) -> Summary: ...
def dump(store: _Folder, line: Callable[[str], object], progress: _Progress = None) -> Summary: ...
def compact(store: _Folder, progress: _Progress = None) -> Summary: ...
def backup(store: _Folder, to: _Folder, progress: _Progress = None) -> Summary: ...
def restore(store: _Folder, source: _Folder, overwrite: bool = False,
            progress: _Progress = None) -> Summary: ...
