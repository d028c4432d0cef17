-- Which notifications went to a number, for the dashboard: it names the number's keyed hashes and gets
-- ids, and reads no hash itself. By the index of numbers, the newest first.
CREATE FUNCTION pruuf_of_number(hashes bytea[], low uuid, most integer) RETURNS TABLE (id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT n.id FROM notification n WHERE n.phone_hash = ANY(hashes) AND n.id >= low
  ORDER BY n.id DESC LIMIT least(most, 200)
$$;
REVOKE EXECUTE ON FUNCTION pruuf_of_number(bytea[], uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pruuf_of_number(bytea[], uuid, integer) TO pruuf_dashboard;
