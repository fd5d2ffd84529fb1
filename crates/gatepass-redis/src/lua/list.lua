-- Some of the sessions of an account that have not ended by themselves, newest first. Returns the
-- time, the account, the last number if there may be more, and each session after its id.
-- ARGV[2]: the account. ARGV[3]: the number that theirs are below, or nothing. ARGV[4]: the most
-- sessions.
local account, before, most = ARGV[2], ARGV[3], tonumber(ARGV[4])
local index = prefix .. 'sessions:' .. account
together({ index, prefix .. 'account:' .. account })
local row, _, _, up_to, except = account_of(account)
local newest = before == '' and '+inf' or '(' .. before
local ids = redis.call('ZRANGE', index, newest, '(' .. digits(up_to), 'BYSCORE', 'REV', 'LIMIT', 0, most)
local answer = { now, row or false, #ids == most and redis.call('ZSCORE', index, ids[most]) }
if #ids < most and except >= 0 and (before == '' or except < tonumber(before)) then
  ids[#ids + 1] = redis.call('ZRANGE', index, digits(except), digits(except), 'BYSCORE')[1]
end
local keys = {}
for at, id in ipairs(ids) do
  keys[at] = prefix .. 'session:' .. id
end
together(keys)
for at, id in ipairs(ids) do
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('GET', keys[at])
end
return answer
