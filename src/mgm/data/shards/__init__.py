"""Sets packed into tar shards: `write` packs them, `index` lists their videos, `members` reads one video."""
