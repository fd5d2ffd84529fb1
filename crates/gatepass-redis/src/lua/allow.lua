-- `Session::recover` and `Session::renew`. KEYS: the partition's `meta`, the session. ARGV: time, client, the generation
-- that is recovered or nothing, access lifetime, the grant if it changed and its own lifetime.
local key = KEYS[2]
local row = redis.call('HMGET', key, 'client', 'grant', 'device', 'generation', 'spent', 'recovered', 'created_at',
  'authenticated_at', 'last_seen_at', 'idle_expires_at', 'absolute_expires_at', 'access_until', 'ended_at',
  'ended_reason', 'own_access_ttl')
if row[13] or row[1] ~= ARGV[2] then
  return false
end
local time = math.max(now, tonumber(row[9]))
local absolute = tonumber(row[11])
if time >= absolute then
  return false
end
if ARGV[3] ~= '' then
  if row[4] ~= ARGV[3] or time >= tonumber(row[10]) then
    return false
  end
  row[6] = ARGV[3]
  redis.call('HSET', key, 'recovered', row[6])
end
if ARGV[5] ~= '' then
  row[2], row[15] = ARGV[5], ARGV[6]
  redis.call('HSET', key, 'grant', row[2], 'own_access_ttl', row[15])
end
row[12] = math.max(tonumber(row[12]), math.min(time + (tonumber(row[15]) or ARGV[4]), absolute))
redis.call('HSET', key, 'access_until', row[12])
keep(key, after(math.max(tonumber(row[10]), row[12]), MARGIN))
return row
