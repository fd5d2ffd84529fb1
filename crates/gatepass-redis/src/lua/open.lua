-- Names the partition's log if it has no name yet, and returns the version of what is there. ARGV: a name, this version.
redis.call('HSETNX', KEYS[1], 'incarnation', ARGV[1])
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
return redis.call('HGET', KEYS[1], 'version')
