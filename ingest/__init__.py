"""Reads outside formats as mmrec's Items and Interactions, and makes the demo shop."""
