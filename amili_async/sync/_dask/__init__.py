"""`sync_on_dask`: the same sync in shards over a Dask cluster."""
