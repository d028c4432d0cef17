-- Of the number that it goes to: ISO 3166-1, two letters; null: there is none, it is of no country, or a
-- gateway of the release before accepted it. Set once, as it is accepted; nothing is decided by it. It tells
-- of a number no more than the prefix that millions share.
ALTER TABLE notification ADD COLUMN country text;

GRANT SELECT (country) ON notification TO pruuf_dashboard;
