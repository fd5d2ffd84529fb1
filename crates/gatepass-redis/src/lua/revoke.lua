-- Revokes one token, or ends its session if it has too many revoked ones. ARGV[4]: the session's id, the token, its end, how
-- many are too many. Returns what was revoked and until when it is.
local id, token, till = ARGV[4], ARGV[5], tonumber(ARGV[6])
local tokens = prefix .. 'tokens:' .. id
local subject, row = subject_of(id)
together({ tokens })
together_with(subject or '', { id })
if (row and struct.unpack('<d', row, 73) >= 0) or redis.call('ZSCORE', tokens, token) then
  written_again()
  return false
end
if redis.call('ZCOUNT', tokens, string.format('(%.0f', now - MARGIN), '+inf') >= tonumber(ARGV[7]) then
  local access = finish(id, 'too_many_revocations')
  return access and { 'session', access }
end
redis.call('ZADD', tokens, till, token)
keep(tokens, after(till, MARGIN))
append(id, token, till)
return { 'token', till }
