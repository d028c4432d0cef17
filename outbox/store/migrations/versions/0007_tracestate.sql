-- The second half of W3C's trace context, as the caller's tracer wrote it; null when it gave none.
ALTER TABLE event ADD COLUMN tracestate text;
