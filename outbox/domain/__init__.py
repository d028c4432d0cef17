"""Pure rules: states, plans, outcomes, receipts, texts. No database, no network, no clock."""
