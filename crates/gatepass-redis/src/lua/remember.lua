-- Stores the horizon of a purge. ARGV[2]: the horizon.
local horizon = math.min(tonumber(ARGV[2]), now)
redis.call('HSET', KEYS[1], 'purged_until', horizon)
return horizon
