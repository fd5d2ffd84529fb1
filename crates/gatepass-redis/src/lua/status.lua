-- Returns the status of a token.
-- KEYS: the session, its revoked tokens. ARGV: the time or nothing for the server's, the token, and
-- the version of the session's rights that it carries.
local row = redis.call('GET', KEYS[1])
if not row then
  return 'unknown'
end
local _, _, _, _, _, idle, access, _, ended, _, _, _, _, number, _, valid_from = struct.unpack('<dddddddddddddddd', row)
local over = ended >= 0
local account = redis.call('GET', string.sub(KEYS[1], 1, -45) .. 'account:' .. string.sub(row, 137, 168))
if account and not over then
  local up_to, except = struct.unpack('<dd', account, 17)
  over = number <= up_to and number ~= except
end
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if now >= math.min((over and access or math.max(idle, access)) + 600000, 253402300799000) then
  return 'unknown'
elseif over or redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return 'revoked'
end
return tonumber(ARGV[3]) < valid_from and 'stale' or 'live'
