-- An hour of old figures at once, the oldest first: by the primary key, which begins with shard and minute.
DELETE FROM rollup_minute
WHERE shard = 0 AND minute < %(end)s
  AND minute < (SELECT min(minute) + interval '1 hour' FROM rollup_minute WHERE shard = 0)
