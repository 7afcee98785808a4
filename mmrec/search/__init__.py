"""The catalogue in memory: snapshots of it, exact top-k search and full text."""
