-- The session, and the time. KEYS[2]: the session.
return { now, redis.call('GET', KEYS[2]) }
