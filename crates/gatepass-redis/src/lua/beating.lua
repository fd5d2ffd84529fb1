-- The heartbeats of all nodes, and the time.
return { digits(now), redis.call('HVALS', prefix .. 'nodes') }
