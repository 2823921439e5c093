CREATE FUNCTION notify_of_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY jobs;
    RETURN NULL;
END
$$;
CREATE TRIGGER notify_of_jobs AFTER INSERT ON jobs EXECUTE FUNCTION notify_of_jobs();
