-- Names the partition's log if it has no name yet, and returns the version of its layout and how many partitions there are. ARGV: a
-- name, and these as this release has them.
redis.call('HSETNX', KEYS[1], 'incarnation', ARGV[1])
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[3])
return redis.call('HMGET', KEYS[1], 'version', 'partitions')
