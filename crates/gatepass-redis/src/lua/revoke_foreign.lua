-- Revokes one token of another issuer, or all that a subject of it got up to now if it has too many revoked ones, or if none is named.
-- ARGV[4]: the token and the session that it has in the log, or nothing twice, its end, the subject, how many are too many, and how
-- long a token is good at most. Returns what was revoked.
local token, id, till, account = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local tokens, revoked = prefix .. 'tokens:' .. id, prefix .. 'revoked:' .. account
-- Up to when tokens are revoked, the end of the entry in the log that says so, and the number of that entry.
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
