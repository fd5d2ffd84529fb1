-- `Session::recover` and `Session::renew`. KEYS: the partition's `meta`, the session. ARGV: time, the line of the client, the generation
-- that is recovered or nothing, access lifetime, the grant if it changed and its own lifetime.
local key = KEYS[2]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[2], STATE_LENGTH + 1, true) ~= STATE_LENGTH + 1 then
  return false
end
local generation, s1, s2, s3, s4, seen, idle, access, absolute, ended, ttl, authenticated, recovered, created =
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
local lines = string.sub(row, STATE_LENGTH + 1)
if ARGV[5] ~= '' then
  ttl = tonumber(ARGV[6]) or -1
  lines = string.match(lines, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n') .. ARGV[5]
end
access = math.max(access, math.min(time + (ttl >= 0 and ttl or ARGV[4]), absolute))
local state = struct.pack(STATE, generation, s1, s2, s3, s4, seen, idle, access, absolute, ended, ttl, authenticated,
  recovered, created)
redis.call('SET', key, state .. lines, 'KEEPTTL')
return { state, state .. lines }
