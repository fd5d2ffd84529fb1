-- The cutoff of an account, as doubles: up to which number its sessions are over, except which one. KEYS: the account.
local account = redis.call('GET', KEYS[1])
return account and string.sub(account, 17, 32) or struct.pack('<dd', -1, -1)
