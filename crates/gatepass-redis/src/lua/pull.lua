-- Reads the log of one partition, from a server that can't be asked about several at once.
-- KEYS: `meta`, the log. ARGV: the number that the entries follow, the most entries.
local entries = {}
if ARGV[2] ~= '0' then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])
end
return { replication, redis.call('HMGET', KEYS[1], 'version', 'incarnation', 'number'), entries }
