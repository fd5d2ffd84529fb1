-- `Session::advance`. KEYS: the session. ARGV: time, client, from, to, how many generations, whether it may have idled,
-- whether the user authenticated, idle and access lifetime, the grant if it changed and its own lifetime.
local key = KEYS[1]
local row = redis.call('HMGET', key, 'client', 'grant', 'device', 'generation', 'spent', 'recovered', 'created_at',
  'authenticated_at', 'last_seen_at', 'idle_expires_at', 'absolute_expires_at', 'access_until', 'ended_at',
  'ended_reason', 'own_access_ttl')
if row[13] or row[1] ~= ARGV[2] or row[4] ~= ARGV[3] then
  return false
end
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
now = math.max(now, tonumber(row[9]))
local absolute = tonumber(row[11])
if now >= absolute or (ARGV[6] == '0' and now >= tonumber(row[10])) then
  return false
end
local instant = string.format('%.0f', now)
local spent = row[5]
for _ = 1, tonumber(ARGV[5]) do
  spent = instant .. ',' .. spent
end
local purged = math.max(tonumber(row[10]), tonumber(row[12]))
row[4] = ARGV[4]
row[5] = string.match(spent, '^[^,]*,?[^,]*,?[^,]*,?[^,]*')
row[9] = now
row[10] = math.min(now + ARGV[8], absolute)
if ARGV[7] == '1' then
  row[8] = now
  redis.call('HSET', key, 'authenticated_at', now)
end
if ARGV[10] ~= '' then
  row[2], row[15] = ARGV[10], ARGV[11]
  redis.call('HSET', key, 'grant', row[2], 'own_access_ttl', row[15])
end
row[12] = math.max(tonumber(row[12]), math.min(now + (tonumber(row[15]) or ARGV[9]), absolute))
redis.call('HSET', key, 'generation', row[4], 'spent', row[5], 'last_seen_at', now, 'idle_expires_at', row[10],
  'access_until', row[12])
local needed = math.max(row[10], row[12])
redis.call('PEXPIRE', key, needed - now + 87000000, 'GT')
-- The index of the purge is corrected by whoever finds the session there too early, which nobody does too late.
if needed < purged then
  local prefix, id = string.match(key, '^(.*)session:(.*)$')
  redis.call('ZADD', prefix .. 'purge', 'LT', math.min(needed + 600000, 253402300799000), id)
end
return row
