-- `Session::recover` and `Session::renew`. KEYS: the partition's `meta`, the session. ARGV: time, the line of the client, the generation
-- that is recovered or nothing, access lifetime, the identity if it changed and its own lifetime.
local key = KEYS[2]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[2], LINES, true) ~= LINES then
  return false
end
local generation, from, rotated, seen, seen_from, idle, access, absolute, ended, ttl, authenticated, recovered, created, number =
  struct.unpack(STATE, row)
local time = time_of(seen)
if ended >= 0 or time >= absolute or is_covered(row) then
  return false
end
if ARGV[3] ~= '' then
  if generation ~= tonumber(ARGV[3]) or time >= idle then
    return false
  end
  recovered = generation
end
local rest = string.sub(row, OWNER)
if ARGV[5] ~= '' then
  ttl = tonumber(ARGV[6]) or -1
  rest = string.match(rest, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n') .. ARGV[5]
end
access = math.max(access, math.min(time + (ttl >= 0 and ttl or ARGV[4]), absolute))
local state = struct.pack(STATE, generation, from, rotated, seen, seen_from, idle, access, absolute, ended, ttl,
  authenticated, recovered, created, number)
redis.call('SET', key, state .. rest, 'KEEPTTL')
return { state, state .. rest }
