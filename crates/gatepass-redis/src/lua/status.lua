-- What is known of a token. KEYS: the session, its revoked tokens. ARGV: the token.
local row = redis.call('GET', KEYS[1])
if not row then
  return 'unknown'
elseif struct.unpack('<d', row, 73) >= 0 or redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 'revoked'
end
return 'live'
