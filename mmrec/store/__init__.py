"""A shop on disk: its tables, the road of an item into them, its interactions, and conditions over attributes."""
