-- Revokes one token of another issuer. If no token is named, or if the subject already has too many
-- revoked ones, revokes all tokens that the subject got up to now. Returns what was revoked.
-- ARGV[4] and ARGV[5]: the token, and the session that it has in the log, or nothing twice.
-- ARGV[6]: the end of the token. ARGV[7]: the subject. ARGV[8]: how many tokens are too many.
-- ARGV[9]: how long a token is valid at most.
local token, id, till, account = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local tokens, revoked = prefix .. 'tokens:' .. id, prefix .. 'revoked:' .. account
-- The time up to which tokens are revoked, the end of the log entry that says so, and the number of
-- that entry.
local foreign, FOREIGN = prefix .. 'foreign:' .. account, '<ddd'
together({ tokens, revoked, foreign, prefix .. 'log', prefix .. 'log:purge' })
if token ~= '' then
  if redis.call('ZSCORE', revoked, token) then
    written_again()
    return false
  end
  if redis.call('ZCOUNT', revoked, '(' .. digits(now - MARGIN), '+inf') < tonumber(ARGV[8]) then
    redis.call('ZADD', tokens, till, token)
    redis.call('ZADD', revoked, till, token)
    keep(tokens, after(till, MARGIN))
    keep(revoked, after(till, MARGIN))
    append({ 'session', id, 'token', token, 'account', account }, till)
    return { 'token', till }
  end
end
local up_to, kept, entry = -1, -1, 0
local before = redis.call('GET', foreign)
if before then
  up_to, kept, entry = struct.unpack(FOREIGN, before)
  redis.call('XDEL', prefix .. 'log', digits(entry) .. '-0')
  redis.call('ZREM', prefix .. 'log:purge', digits(entry))
end
up_to = math.max(up_to, now)
till = math.max(kept, after(now, tonumber(ARGV[9])))
entry = append({ 'account', account, 'up_to', digits(up_to), 'except', '-1' }, till)
redis.call('SET', foreign, struct.pack(FOREIGN, up_to, till, entry))
keep(foreign, after(till, MARGIN))
return { 'all', up_to, -1, till }
