-- The version of the partition's layout and the number of partitions, if a store has opened it.
return redis.call('HMGET', KEYS[1], 'version', 'partitions')
