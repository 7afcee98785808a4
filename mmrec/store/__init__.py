"""A shop on disk: its tables, how items get into them, its interactions, and conditions over attributes."""
