"""Digests, atomic writes, content-keyed shards and resumable work folders."""
