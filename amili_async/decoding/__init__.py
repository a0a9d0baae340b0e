"""Response bytes to typed rows: strict and fast first, leniently where that fails, set aside where that fails too."""

from amili_async.decoding.reader import DecodedPage, DriftSink, Reader, SplitPage

__all__ = ["DecodedPage", "DriftSink", "Reader", "SplitPage"]
