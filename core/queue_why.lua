-- ---- why a job waits -------------------------------------------------------------------------------------------------

local function live_offers(time)
    local offers, alive, seen = {inception = true}, 0, call('ZREVRANGE', P .. 'hosts', 0, 255, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local ttl, names = unpack(call('HMGET', P .. 'host:' .. seen[i], 'ttl_ms', 'offers'))
        if ttl and time - tonumber(seen[i + 1]) <= tonumber(ttl) then
            alive = alive + 1
            for name in (names or ''):gmatch('%S+') do offers[name] = true end
        end
    end
    return offers, alive
end

-- Why a queued job does not run, as far as numbers say: the walk that a claim makes, seen from the job.
local function why_queued(id)
    local user, priority, seq, needs, reason = job_get(id, 'user', 'priority', 'seq', 'needs', 'reason')
    local offers, alive = live_offers(now())
    if alive == 0 then return 'no daemon is alive; ddqd on any host that reaches this Redis will take it' end
    local lack = lacks(needs, offers)
    if lack then
        local section = lack:gsub(':', ' ')
        return 'no daemon that is alive has ' .. section .. '; one gets it by [' .. section .. '] in its ddq.conf'
    end
    if call('EXISTS', job_key(id, 'ranges')) == 0 then return reason end -- a lost range waits a little
    local before, others, lanes = 0, call('ZRANK', P .. 'users', user) or 0, P .. 'queue:' .. user
    local own = '(' .. int(order_of(tonumber(priority), tonumber(seq)))
    for _, lane in ipairs(call('ZRANGE', lanes, 0, MAX_LANES - 1)) do
        before = before + call('ZCOUNT', lanes .. ':' .. lane, '-inf', own)
    end
    if before == 0 and others == 0 then return 'next in turn; waits for a free worker' end
    return 'waits for its turn: ' .. before .. ' of your jobs and ' .. others .. ' other users come first'
end
