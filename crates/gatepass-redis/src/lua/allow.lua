-- `Session::recover` and `Session::renew`.
-- KEYS: the partition's `meta`, the session. ARGV: the time, the line of the client, the generation
-- to recover or nothing, the access lifetime.
local key = KEYS[2]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[2], LINES, true) ~= LINES then
  return false
end
local generation, _, _, seen, _, idle, access, absolute, ended, ttl = struct.unpack(STATE, row)
local time = time_of(seen)
if ended >= 0 or time >= absolute or is_covered(row) then
  return false
end
if ARGV[3] ~= '' then
  if generation ~= tonumber(ARGV[3]) or time >= idle then
    return false
  end
  row = string.sub(row, 1, 88) .. struct.pack('<d', generation) .. string.sub(row, 97)
end
access = math.max(access, math.min(time + (ttl >= 0 and ttl or ARGV[4]), absolute))
row = string.sub(row, 1, 48) .. struct.pack('<d', access) .. string.sub(row, 57)
redis.call('SET', key, row, 'KEEPTTL')
return { row, row }
