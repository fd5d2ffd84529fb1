-- Returns the time, the session and its account. KEYS[2]: the session.
local row = redis.call('GET', KEYS[2])
return { now, row, row and (account_of(string.sub(row, OWNER, LINES - 1))) or false }
