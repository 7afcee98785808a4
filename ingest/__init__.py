"""The loading dock: knows the outside formats of catalogues and hands over mmrec Items."""
