-- Writes a node's heartbeat, and removes old ones. Returns the time, and all heartbeats.
-- ARGV[2]: how long heartbeats are kept. ARGV[3]: the node's id. ARGV[4]: its heartbeat.
local nodes = prefix .. 'nodes'
together({ nodes })
redis.call('HSET', nodes, ARGV[3], digits(now) .. ' ' .. ARGV[4])
redis.call('PEXPIRE', nodes, ARGV[2])
local oldest, all = now - tonumber(ARGV[2]), redis.call('HGETALL', nodes)
for at = 1, #all, 2 do
  if tonumber(string.match(all[at + 1], '^%d+')) < oldest then
    redis.call('HDEL', nodes, all[at])
  end
end
return { digits(now), redis.call('HVALS', nodes) }
