"""From a request to a page of results: users, candidates, fusion, diversity, exploration and reasons."""
