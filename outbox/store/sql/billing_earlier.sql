-- Commands of one account are carried out in order: one waits while an earlier one has a due row. A
-- parked one holds up nobody, as all its calls were refused; but one of unknown outcome does.
SELECT EXISTS (
  SELECT FROM billing_event mine
  JOIN billing_event other ON other.shard = mine.shard AND other.account = mine.account
   AND other.command < mine.command
  JOIN due d ON d.shard = other.shard AND d.notification = other.notification
  JOIN notification n ON n.shard = d.shard AND n.id = d.notification
  WHERE mine.shard = %(shard)s AND mine.notification = %(notification)s
    AND (n.state = 'open' OR n.reason = 'outcome_unknown'))
