-- Revokes one token. If the session or its account already has too many revoked tokens, ends the
-- session. Returns what was revoked, and until when.
-- ARGV[4]: the session's id. ARGV[5]: the token. ARGV[6]: its end. ARGV[7]: the account. ARGV[8]
-- and ARGV[9]: how many tokens are too many for the session and for the account.
local id, token, till, account = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local tokens, revoked = prefix .. 'tokens:' .. id, prefix .. 'revoked:' .. account
local row = redis.call('GET', prefix .. 'session:' .. id)
together({ tokens })
together_with(row and string.sub(row, OWNER, LINES - 1) or account, id)
together_with(account, id)
if (row and (struct.unpack('<d', row, 65) >= 0 or is_covered(row))) or redis.call('ZSCORE', tokens, token) then
  written_again()
  return false
end
local live = '(' .. digits(now - MARGIN)
if row and (redis.call('ZCOUNT', tokens, live, '+inf') >= tonumber(ARGV[8])
  or redis.call('ZCOUNT', revoked, live, '+inf') >= tonumber(ARGV[9])) then
  local access = finish(id, 'too_many_revocations')
  return access and { 'session', access }
end
redis.call('ZADD', tokens, till, token)
redis.call('ZADD', revoked, till, token)
keep(tokens, after(till, MARGIN))
keep(revoked, after(till, MARGIN))
append({ 'session', id, 'token', token, 'account', account }, till)
return { 'token', till }
