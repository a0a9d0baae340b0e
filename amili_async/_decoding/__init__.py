"""Response bytes to typed rows: strict and fast first, leniently where that fails, set aside where that fails too."""

from amili_async._decoding.bounds import MAX_ROWS
from amili_async._decoding.envelope import SplitPage
from amili_async._decoding.reader import DecodedPage, DriftSink, Reader, decode
from amili_async._decoding.rows import PageBody

__all__ = ["MAX_ROWS", "DecodedPage", "DriftSink", "PageBody", "Reader", "SplitPage", "decode"]
