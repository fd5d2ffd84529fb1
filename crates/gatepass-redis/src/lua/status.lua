-- What is known of a token. KEYS: the session, its revoked tokens. ARGV: the token.
local row = redis.call('GET', KEYS[1])
if not row then
  return 'unknown'
elseif struct.unpack('<d', row, 65) >= 0 or redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 'revoked'
end
local account = redis.call('GET', string.sub(KEYS[1], 1, -45) .. 'account:' .. string.sub(row, 113, 144))
if account then
  local number, up_to, except = struct.unpack('<d', row, 105), struct.unpack('<dd', account, 17)
  if number <= up_to and number ~= except then
    return 'revoked'
  end
end
return 'live'
