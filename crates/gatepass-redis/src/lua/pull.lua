-- What the log has behind a place. KEYS: `meta`, the log. ARGV: the log that the place is in or nothing, its number, how many
-- entries at most. Without entries if it is no place in this log.
local meta = redis.call('HMGET', KEYS[1], 'version', 'incarnation', 'number')
local log = (meta[2] or '') .. '-' .. string.match(replication, 'master_replid:(%x+)')
local last = tonumber(meta[3] or 0)
local fits = ARGV[1] == '' or (ARGV[1] == log and tonumber(ARGV[2]) <= last)
local entries = {}
if fits and ARGV[3] ~= '0' then
  entries = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
end
return { meta[1], log, last, fits and 1 or 0, entries }
