-- Every ten seconds and relay, over the hot table only: narrow, and small by design.
SELECT lane, count(due_at)::integer,
       greatest(0, coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at <= now())), 0))::float8
FROM (SELECT l.lane, d.due_at FROM generate_series(0, 3) l(lane) LEFT JOIN due d ON d.lane = l.lane) x
GROUP BY lane ORDER BY lane
