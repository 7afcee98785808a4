"""The towers between content and the vector that is searched."""
