"""What leans on the insides of other libraries, in one place: each use has a test that fails when upstream changes it.

`aiohttp` and `distributed` hold what aiohttp and Dask have no public way to say, `msgspec` what it allows and warns of.
Nothing else in this package names a private attribute of another library; `tests/upstream` tries each use on the
installed versions, and `.ci/run upcoming` on the newest pre-releases.
"""
