-- Some sessions of a partition: the time, the server's history, the place to go on from, and each session behind its id and before its
-- account. ARGV[2]: the place, the history that it is of, and about how many. A place in another history is the beginning: servers order
-- the members of a key each in their own way.
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
local place = history == ARGV[3] and ARGV[2] or '0'
local index = prefix .. 'purge'
together({ index })
local part = redis.call('ZSCAN', index, place, 'COUNT', ARGV[4])
local answer = { now, history, part[1] }
for at = 1, #part[2], 2 do
  local id = part[2][at]
  local key = prefix .. 'session:' .. id
  together({ key })
  local row = redis.call('GET', key)
  if row then
    answer[#answer + 1] = id
    answer[#answer + 1] = row
    answer[#answer + 1] = account_of(string.sub(row, OWNER, LINES - 1)) or false
  end
end
return answer
