-- A replica may be behind, so it must not answer. The id of the replication history changes with
-- every promotion and every start of a server. Only on these occasions can entries have been lost.
local replication = redis.call('INFO', 'replication')
if not string.find(replication, 'role:master', 1, true) then
  return redis.error_reply('READONLY a replica does not know what is revoked')
end
