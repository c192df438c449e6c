"""Videos packed into tar shards."""
