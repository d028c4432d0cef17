-- Devices by how lately they were heard of, and numbers that opted out; at most so many of each.
SELECT d.fresh, d.stale, d.dead, s.n
FROM (SELECT (count(*) FILTER (WHERE dead_at IS NULL AND stale_at IS NULL))::integer AS fresh,
             (count(*) FILTER (WHERE dead_at IS NULL AND stale_at IS NOT NULL))::integer AS stale,
             count(dead_at)::integer AS dead
      FROM (SELECT dead_at, stale_at FROM device LIMIT %(most)s) known) d,
     (SELECT count(*)::integer AS n
      FROM (SELECT FROM suppression WHERE lifted_at IS NULL LIMIT %(most)s) known) s
