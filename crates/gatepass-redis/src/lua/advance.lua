-- `Session::advance`, kept lean, since it is what is done most. KEYS: the session. ARGV: the line of the client; as doubles
-- the time or -1, from and to which generation and how many these are, whether the session may have idled, whether the user
-- authenticated, idle and access lifetime, and that of a changed grant or -1; the grant if it changed.
local key = KEYS[1]
local row = redis.call('GET', key)
if not row or string.find(row, ARGV[1], 113, true) ~= 113 then
  return false
end
local generation, s1, s2, s3, s4, seen, idle, access, absolute, ended, ttl = struct.unpack('<ddddddddddd', row)
local now, from, to, spent, idled, again, idle_ttl, access_ttl, own_ttl = struct.unpack('<ddddddddd', ARGV[2])
if generation ~= from or ended >= 0 then
  return false
end
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
end
if now < seen then
  now = seen
end
if now >= absolute or (idled == 0 and now >= idle) then
  return false
end
for _ = 1, spent do
  s1, s2, s3, s4 = now, s1, s2, s3
end
if ARGV[3] then
  ttl = own_ttl
  row = string.sub(row, 1, 80) .. struct.pack('<d', ttl) .. string.sub(row, 89, 112)
    .. string.match(row, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n', 113) .. ARGV[3]
end
if again == 1 then
  row = string.sub(row, 1, 88) .. struct.pack('<d', now) .. string.sub(row, 97)
end
if ARGV[3] or again == 1 then
  redis.call('SET', key, row, 'KEEPTTL')
end
local purged = idle > access and idle or access
idle = now + idle_ttl
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
local state = struct.pack('<dddddddd', to, s1, s2, s3, s4, now, idle, access)
redis.call('SETRANGE', key, 0, state)
-- The index of the purge is corrected by whoever finds the session there too early, and nobody finds it there too late.
if idle < purged and access < purged then
  local prefix, id = string.match(key, '^(.*)session:(.*)$')
  redis.call('ZADD', prefix .. 'purge', 'LT', math.min(math.max(idle, access) + 600000, 253402300799000), id)
end
return { state, row }
