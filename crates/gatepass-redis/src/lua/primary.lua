-- A replica may be behind, and must not answer. The id of the replication history changes with every promotion and
-- every start of a server, which are the two occasions on which entries can have been lost.
local replication = redis.call('INFO', 'replication')
if not string.find(replication, 'role:master', 1, true) then
  return redis.error_reply('READONLY a replica does not know what is revoked')
end
