-- `Session::change`, and a log entry that replaces the session's last one. Returns the row, or
-- nothing if it didn't fit.
-- ARGV[4]: the session's id. ARGV[5]: the version that it must have. ARGV[6]: the identity.
-- ARGV[7]: its own lifetime, or nothing. ARGV[8]: the effect.
local id, from, identity, effect = ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[8]
local session = prefix .. 'session:' .. id
local row = redis.call('GET', session)
if not row then
  return false
end
local _, _, _, seen, _, _, access, absolute, ended, _, _, _, _, _, newest, valid_from, entry = struct.unpack(STATE, row)
if ended >= 0 or time_of(seen) >= absolute or newest ~= from or is_covered(row) then
  return false
end
together_with(string.sub(row, OWNER, LINES - 1), id)
if effect ~= 'none' then
  access = math.max(access, time_of(seen))
  newest = math.min(newest + 1, 4294967295)
  if effect == 'enforce' then
    valid_from = newest
  end
  if entry > 0 then
    redis.call('XDEL', prefix .. 'log', digits(entry) .. '-0')
    redis.call('ZREM', prefix .. 'log:purge', digits(entry))
  end
  entry = append({ 'grant', id, 'newest', digits(newest), 'valid_from', digits(valid_from) }, access)
end
local ttl = tonumber(ARGV[7]) or -1
local lines = string.match(row, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n', LINES)
row = string.sub(row, 1, 48) .. struct.pack('<d', access) .. string.sub(row, 57, 72) .. struct.pack('<d', ttl) .. string.sub(row, 81, 112)
  .. struct.pack('<ddd', newest, valid_from, entry) .. string.sub(row, OWNER, LINES - 1) .. lines .. identity
redis.call('SET', session, row, 'KEEPTTL')
return { row, row }
