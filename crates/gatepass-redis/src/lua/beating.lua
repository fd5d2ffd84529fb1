-- Returns the time, and the heartbeats of all nodes.
return { digits(now), redis.call('HVALS', prefix .. 'nodes') }
