-- The cutoff of an account, as doubles: the number up to which its sessions have ended, and the
-- exception. KEYS: the account.
local account = redis.call('GET', KEYS[1])
return account and string.sub(account, 17, 32) or struct.pack('<dd', -1, -1)
