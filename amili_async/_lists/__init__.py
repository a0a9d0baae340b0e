"""Lists, page by page: fetched ahead, checked for loops, gone on with from a cursor."""
