-- `Session::advance`. It is the most frequent script, so it does as little as possible.
-- KEYS: the session. ARGV[1]: the line of the client. ARGV[2], as doubles: the time or -1, the old
-- and the new generation, whether the session may have idled, whether the user has authenticated,
-- how long ago the last rotation must be or -1, where the session is seen from, the idle lifetime
-- and the access lifetime. ARGV[3], as doubles: the account's cutoff, if the caller had to read it
-- elsewhere.
local key = KEYS[1]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[1], 169, true) ~= 169 then
  return false
end
local generation, rotated_from, rotated, seen, seen_from, idle, access, absolute, ended, ttl =
  struct.unpack('<dddddddddd', row)
local now, from, to, idled, again, overlap, here, idle_ttl, access_ttl =
  struct.unpack('<ddddddddd', ARGV[2])
if generation ~= from or ended >= 0 then
  return false
end
local account = ARGV[3] or redis.pcall('GET', string.sub(key, 1, -45) .. 'account:' .. string.sub(row, 137, 168))
if account then
  if type(account) == 'table' then
    -- The cluster is moving the slot, and the account is not where the session is. The caller looks
    -- it up by its id.
    return string.sub(row, 137, 168)
  end
  local up_to, except = struct.unpack('<dd', account, ARGV[3] and 1 or 17)
  local number = struct.unpack('<d', row, 105)
  if number <= up_to and number ~= except then
    return false
  end
end
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
end
if now < seen and seen - now <= 10000 then
  now = seen
end
if now >= absolute or (idled == 0 and now >= idle) then
  return false
end
if to == from + 1 and rotated >= 0 and rotated <= now and now - rotated <= overlap then
  return false
end
if to ~= from then
  rotated_from, rotated = from, now
end
if here ~= seen_from then
  -- A half that is unknown now stays as it was.
  local address, address_then = here % 16777216, seen_from % 16777216
  local agent, agent_then = here - address, seen_from - address_then
  seen_from = (agent > 0 and agent or agent_then) + (address > 0 and address or address_then)
end
if again == 1 then
  local authenticated = struct.pack('<d', now)
  redis.call('SETRANGE', key, 80, authenticated)
  row = string.sub(row, 1, 80) .. authenticated .. string.sub(row, 89)
end
local purged = idle > access and idle or access
-- The identity is the last line. If it has its own idle lifetime, that is its first member.
if string.find(row, '\n{"idle_ttl":', 169, true) then
  idle_ttl = tonumber(string.match(row, '\n{"idle_ttl":(%d+)[^\n]*$', 169)) or idle_ttl
end
-- If the clock has gone back, this doesn't lower the idle end.
idle = seen > now and math.max(idle, now + idle_ttl) or now + idle_ttl
if idle > absolute then
  idle = absolute
end
local lives = now + (ttl >= 0 and ttl or access_ttl)
if lives > absolute then
  lives = absolute
end
if lives > access then
  access = lives
end
local state = struct.pack('<ddddddd', to, rotated_from, rotated, now, seen_from, idle, access)
redis.call('SETRANGE', key, 0, state)
-- If the purge's index has the session too early, the purge corrects it. The index must never have
-- it too late.
if idle < purged and access < purged then
  local prefix, id = string.match(key, '^(.*)session:(.*)$')
  redis.call('ZADD', prefix .. 'purge', 'LT', math.min(math.max(idle, access) + 600000, 253402300799000), id)
end
return { state, row }
