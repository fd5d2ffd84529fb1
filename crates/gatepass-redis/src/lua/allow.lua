-- `Session::recover` and `Session::renew`. KEYS: the partition's `meta`, the session. ARGV: time, the line of the client, the generation
-- that is recovered or nothing, access lifetime, the grant if it changed and its own lifetime.
local key = KEYS[2]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[2], STATE_LENGTH + 1, true) ~= STATE_LENGTH + 1 then
  return false
end
local generation, recovered, s1, s2, s3, s4, created, authenticated, seen, idle, absolute, access, ended, ttl =
  struct.unpack(STATE, row)
local time = math.max(now, seen)
if ended >= 0 or time >= absolute then
  return false
end
if ARGV[3] ~= '' then
  if generation ~= tonumber(ARGV[3]) or time >= idle then
    return false
  end
  recovered = generation
end
if ARGV[5] ~= '' then
  ttl = tonumber(ARGV[6]) or -1
  row = string.sub(row, 1, STATE_LENGTH)
    .. string.match(row, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n', STATE_LENGTH + 1) .. ARGV[5]
  redis.call('SET', key, row, 'KEEPTTL')
end
access = math.max(access, math.min(time + (ttl >= 0 and ttl or ARGV[4]), absolute))
local state = struct.pack(STATE, generation, recovered, s1, s2, s3, s4, created, authenticated, seen, idle, absolute, access,
  ended, ttl)
redis.call('SETRANGE', key, 0, state)
return { state, row }
