-- One UPDATE leases about a second's worth. The bucket fills by the database's clock, which may not
-- run backwards for it: two relays whose transactions overlap see the same row one after the other.
WITH l AS (
  SELECT provider, sender, class,
         least(%(burst)s::float8,
               level + %(rate)s::float8 * greatest(0, extract(epoch FROM clock_timestamp() - at)::float8)) AS filled
  FROM limiter
  WHERE shard = 0 AND provider = %(provider)s AND sender = %(sender)s AND class = %(class)s
  FOR NO KEY UPDATE)
UPDATE limiter SET level = l.filled - least(%(want)s, floor(l.filled)),
       at = greatest(limiter.at, clock_timestamp())
FROM l
WHERE limiter.shard = 0 AND limiter.provider = l.provider AND limiter.sender = l.sender
  AND limiter.class = l.class
RETURNING least(%(want)s, floor(l.filled))
