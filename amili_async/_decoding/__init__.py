"""Response bytes to typed rows: strict and fast first, leniently where that fails, set aside where that fails too."""

from amili_async._decoding.bounds import MAX_ROWS
from amili_async._decoding.envelope import PageBody, SplitPage
from amili_async._decoding.reader import DecodedPage, DriftSink, Reader, decode

__all__ = ["MAX_ROWS", "DecodedPage", "DriftSink", "PageBody", "Reader", "SplitPage", "decode"]
