-- The session, and the time. KEYS[2]: the session.
return { now, redis.call('HMGET', KEYS[2], 'client', 'grant', 'device', 'generation', 'spent', 'recovered',
  'created_at', 'authenticated_at', 'last_seen_at', 'idle_expires_at', 'absolute_expires_at', 'access_until', 'ended_at',
  'ended_reason') }
