-- How far the last purge went.
return redis.call('HGET', KEYS[1], 'purged_until')
