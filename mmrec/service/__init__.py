"""What a person sees of a Recommender."""
