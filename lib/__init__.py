"""A course in image retrieval: one file per idea, each of which can be copied alone."""
