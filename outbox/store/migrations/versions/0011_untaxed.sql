-- Null: it was not told, or a relay of the version before heard of it last.
ALTER TABLE invoice ADD COLUMN untaxed bigint;
