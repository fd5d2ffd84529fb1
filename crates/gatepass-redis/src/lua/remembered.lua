-- Returns the horizon of the last purge.
return redis.call('HGET', KEYS[1], 'purged_until')
