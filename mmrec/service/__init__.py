"""The HTTP service of a Recommender, its page, and the static gallery."""
