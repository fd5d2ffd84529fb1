-- Some sessions of a partition, newest first. Returns the time, the place to continue from if there
-- may be more, and for each session its id, its row and its account.
-- ARGV[2]: the account of the sessions, or nothing. ARGV[3]: the place that they come after.
-- ARGV[4]: the last place. ARGV[5]: the most sessions. A place is the number of a session of the
-- account, or else a member of `begun`.
local account, behind, last, most = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local ids, place = {}, nil
if account == '' then
  local index = prefix .. 'begun'
  together({ index })
  local members = redis.call('ZRANGE', index, behind, last, 'BYLEX', 'REV', 'LIMIT', 0, most)
  place = members[most]
  for at, member in ipairs(members) do
    ids[at] = string.sub(member, INSTANT + 1)
  end
else
  -- A session may move from one index to the other at any time, and keeps its number.
  local live, over = prefix .. 'sessions:' .. account, prefix .. 'ended:' .. account
  together({ live, over, prefix .. 'account:' .. account })
  local numbered = {}
  for _, index in ipairs({ live, over }) do
    local part = redis.call('ZRANGE', index, behind, last, 'BYSCORE', 'REV', 'LIMIT', 0, most, 'WITHSCORES')
    for at = 1, #part, 2 do
      numbered[#numbered + 1] = { id = part[at], number = tonumber(part[at + 1]) }
    end
  end
  table.sort(numbered, function(one, other) return one.number > other.number end)
  for at = 1, math.min(#numbered, most) do
    ids[at] = numbered[at].id
  end
  place = numbered[most] and digits(numbered[most].number)
end
local keys = {}
for at, id in ipairs(ids) do
  keys[at] = prefix .. 'session:' .. id
end
together(keys)
local answer = { now, place or false }
for at, id in ipairs(ids) do
  local row = redis.call('GET', keys[at])
  if row then
    answer[#answer + 1] = id
    answer[#answer + 1] = row
    answer[#answer + 1] = account_of(string.sub(row, OWNER, LINES - 1)) or false
  end
end
return answer
