-- Of these events, those whose bodies are there although nothing of them is unfinished. What is unfinished is
-- read once, by its own index: to look for it event by event would look into every partition each time.
SELECT e.id FROM event e
WHERE e.shard = %(shard)s AND e.id = ANY(%(ids)s) AND e.id BETWEEN %(low_id)s AND %(high_id)s
  AND length(e.data) > 0
  AND e.id NOT IN (SELECT n.event FROM notification n WHERE n.shard = %(shard)s AND n.final_at IS NULL)
