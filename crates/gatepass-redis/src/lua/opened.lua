-- The version of the partition's layout and how many partitions there are, where a store has been opened.
return redis.call('HMGET', KEYS[1], 'version', 'partitions')
