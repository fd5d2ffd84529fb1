-- `Account::end_all` of one subject, and its log entry, for triggers and for applications that
-- don't use this crate. `PostgresStore::end_in` does the same.
--
-- The function runs with the rights of its owner. So it sets its own search path, and takes only
-- three texts from the caller.
CREATE FUNCTION @end_sessions_of(
    issuer pg_catalog.text, subject pg_catalog.text, reason pg_catalog.text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    issuers text[] := ARRAY(
        SELECT DISTINCT value::json ->> 'iss' FROM @meta WHERE starts_with(key, 'identity ')
    );
    its_id bytea;
    its record;
BEGIN
    -- A trigger that takes the subject from OLD instead of NEW, or from NEW instead of OLD, must
    -- fail.
    IF issuer IS NULL OR subject IS NULL OR reason IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'end_sessions_of was called with a null',
            HINT = 'In a trigger, take the subject from OLD: NEW is null where a row is deleted.';
    END IF;
    IF reason <> ALL (
        ARRAY['logout_all', 'ended_by_user', 'ended_by_application', 'user_deleted']
    ) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is not a reason to end all sessions of a user', reason),
            HINT = 'Take ended_by_application, ended_by_user, logout_all or user_deleted.';
    END IF;
    -- A stricter level doesn't see a session that began after the transaction's first statement,
    -- and would not end it.
    IF current_setting('transaction_isolation') <> ALL (
        ARRAY['read committed', 'read uncommitted']
    ) THEN
        RAISE invalid_transaction_state USING
            MESSAGE = format(
                'sessions cannot be ended in a transaction that is %s',
                upper(current_setting('transaction_isolation'))
            ),
            HINT = 'Begin the transaction with ISOLATION LEVEL READ COMMITTED.';
    END IF;
    IF current_setting('transaction_read_only') = 'on' THEN
        RAISE read_only_sql_transaction USING
            MESSAGE = 'sessions cannot be ended in a transaction that only reads',
            HINT = 'Begin the transaction with READ WRITE, at the primary.';
    END IF;
    -- A typing mistake in the issuer would name an account without sessions.
    IF cardinality(issuers) > 0 AND issuer <> ALL (issuers) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('%L is not an issuer that keeps its sessions here', issuer),
            HINT = format('Take one of %s.', array_to_string(issuers, ', '));
    END IF;

    -- `AccountId::of`.
    its_id := substr(sha256(
        int8send(octet_length(convert_to(issuer, 'UTF8'))::bigint)
            || convert_to(issuer, 'UTF8') || convert_to(subject, 'UTF8')
    ), 1, 16);
    SELECT last, until, up_to, except_number INTO its FROM @accounts WHERE id = its_id FOR UPDATE;
    IF NOT FOUND OR its.last = 0 OR (its.up_to >= its.last AND its.except_number IS NULL) THEN
        RETURN false;
    END IF;
    UPDATE @accounts SET
        up_to = its.last, except_number = NULL,
        ended_at = floor(date_part('epoch', statement_timestamp()) * 1000)::bigint,
        ended_reason = reason, purge_at = 0
    WHERE id = its_id;
    INSERT INTO @revocations (account, up_to, except_number, until)
        VALUES (its_id, its.last, NULL, its.until)
        ON CONFLICT (account) WHERE up_to IS NOT NULL DO UPDATE SET
            xid = pg_current_xact_id(), up_to = excluded.up_to,
            except_number = excluded.except_number, until = excluded.until;
    -- Like each log entry, this one must be on disk before a reader sees it.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'local', true);
    END IF;
    -- PostgreSQL delivers it only when the transaction commits. The name of the schema ends with a
    -- dot here.
    PERFORM pg_notify(rtrim('@', '.') || '_revocations', '');
    RETURN true;
END
$body$;

-- The same, if there is only one issuer.
CREATE FUNCTION @end_sessions_of(
    subject pg_catalog.text, reason pg_catalog.text
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    issuers text[] := ARRAY(
        SELECT DISTINCT value::json ->> 'iss' FROM @meta WHERE starts_with(key, 'identity ')
    );
BEGIN
    IF cardinality(issuers) > 1 THEN
        RAISE ambiguous_function USING
            MESSAGE = 'several issuers keep their sessions here',
            HINT = format('Name one of them first: %s.', array_to_string(issuers, ', '));
    END IF;
    -- If there is no issuer yet, no session has begun at any.
    RETURN @end_sessions_of(coalesce(issuers[1], ''), subject, reason);
END
$body$;

REVOKE ALL ON FUNCTION @end_sessions_of(pg_catalog.text, pg_catalog.text, pg_catalog.text)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION @end_sessions_of(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
