"""Who is next, and how many processes to keep: pure decisions that return what to do."""
