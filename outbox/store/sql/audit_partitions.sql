-- Without its partition a day's intake stops: those of the next days that are not there.
SELECT parent || '_p' || to_char(day, 'YYYYMMDD') AS name
FROM unnest(ARRAY['event', 'notification', 'attempt', 'receipt']) parent,
     generate_series((now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + %(ahead)s, interval '1 day') day
WHERE to_regclass(parent || '_p' || to_char(day, 'YYYYMMDD')) IS NULL
ORDER BY 1
