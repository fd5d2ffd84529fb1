-- What is known of a token. KEYS: the session, its revoked tokens. ARGV: the token.
local row = redis.call('HMGET', KEYS[1], 'subject', 'ended_at')
if not row[1] then
  return 'unknown'
elseif row[2] or redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 'revoked'
end
return 'live'
