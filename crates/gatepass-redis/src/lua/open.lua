-- Names the partition's log if it has no name yet. Returns the version of the partition's layout
-- and the number of partitions.
-- ARGV: a name, and the version and the number of this release.
redis.call('HSETNX', KEYS[1], 'incarnation', ARGV[1])
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[3])
return redis.call('HMGET', KEYS[1], 'version', 'partitions')
