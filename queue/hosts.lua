-- ---- hosts: their heartbeats, and drains ----------------------------------------------------------------------------
-- drains: hash of "HOST" or "HOST WORKER" -> why. A drain does not expire: a restarted daemon and a host that returns
-- after a week are still drained. Claims read it, and every heartbeat's answer contains it, so a lost hint costs one
-- heartbeat interval.

-- Why this worker, or its whole host, may take nothing; nil when it may.
function drain_of(host, worker)
    local why, own = unpack(call('HMGET', P .. 'drains', host, host .. ' ' .. worker))
    return why or own or nil
end

-- All drains of a host: worker -> why, "*" for the whole of it.
function drains_of(host)
    local drains, rows = {}, call('HGETALL', P .. 'drains')
    for i = 1, #rows, 2 do
        local name, worker = rows[i]:match('^(%S+) ?(.*)$')
        if name == host then drains[worker == '' and '*' or worker] = rows[i + 1] end
    end
    return drains
end

-- host -> worker -> the job that it has a lease of.
local function busy_workers()
    local busy, slots = {}, call('HGETALL', P .. 'slots')
    for i = 1, #slots, 2 do
        local host, worker = slots[i]:match('^(%S+) (.+)$')
        local job = host and call('HGET', lease_key(slots[i + 1]), 'job')
        if job and not FINAL[job_get(job, 'state') or 'failed'] then
            busy[host] = busy[host] or {}
            busy[host][worker] = job
        end
    end
    return busy
end

-- The hosts with a fresh heartbeat: {name, offers{}, about, files (JSON), looked (when it looked at them, ms), looks (it
-- will look again when it is asked to)}. A host
-- of an earlier version does not tell whether it has the Inception network: it is taken to have it.
function live_hosts(time)
    local hosts, seen = {}, call('ZREVRANGE', P .. 'hosts', 0, 255, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local ttl, names, about, files, looked, tells = unpack(call('HMGET', P .. 'host:' .. seen[i], 'ttl_ms', 'offers',
            'about', 'files', 'looked', 'tells'))
        if ttl and time - tonumber(seen[i + 1]) <= tonumber(ttl) then
            local offers = {inception = not tells or nil}
            for name in (names or ''):gmatch('%S+') do offers[name] = true end
            hosts[#hosts + 1] = {name = seen[i], offers = offers, about = about, files = files, looks = tells == '1',
                looked = tonumber(looked or 0)}
        end
    end
    return hosts
end

--- ddq_hosts {} -> {hosts[]}
--- The last heartbeat of each daemon (see ddq_beat), with age_ms, alive, drains{}: worker, or * for the whole host, ->
--- reason of the drain, and busy{}: worker -> the job that it works on now, which its heartbeat may not say yet; the
--- latest first.
function F.hosts()
    local hosts, time, busy = list(), now(), busy_workers()
    local seen = call('ZREVRANGE', P .. 'hosts', 0, 999, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local about, ttl = unpack(call('HMGET', P .. 'host:' .. seen[i], 'about', 'ttl_ms'))
        local age = time - tonumber(seen[i + 1])
        if about then
            hosts[#hosts + 1] = raw('{"age_ms":' .. int(age) .. ',"alive":' .. tostring(age <= tonumber(ttl)) ..
                ',"drains":' .. encode(drains_of(seen[i])) .. ',"busy":' .. encode(busy[seen[i]] or {}) .. ',' .. about:sub(2))
        end
    end
    return {hosts = hosts}
end

-- The host to drain or resume, and its worker if one is named.
local function place_arg(a)
    local host, worker = text_arg(a, 'host', NAME), text_arg(a, 'worker', LABEL, true)
    local about = call('HGET', P .. 'host:' .. host, 'about')
    if not about then
        local known = table.concat(call('ZREVRANGE', P .. 'hosts', 0, 19), ', ')
        refuse('not_found', 'host ' .. host .. ' has sent no heartbeat today; known hosts: ' .. (known == '' and 'none' or known))
    end
    local names = {}
    for _, one in ipairs(worker and (decode(about) or {}).workers or {}) do
        if type(one) == 'table' then names[#names + 1] = tostring(one.name) end
        if names[#names] == worker then return host, worker end
    end
    if worker then
        refuse('not_found', 'host ' .. host .. ' has no worker ' .. worker .. '; its workers: ' .. table.concat(names, ', '))
    end
    return host
end

-- Who drains and resumes hosts. A caller that the gate has named must be an administrator; one that holds the Redis itself
-- holds everything.
local function operator_arg(a)
    local user = text_arg(a, 'user', NAME)
    if memo.rights and not is_admin(user) and not listed_admin(user) then
        refuse('permission', user .. ' may not drain or resume a host; only root, the administrators of this host and ' ..
            'the admins of ddq settings may')
    end
    return user
end

local function tell_host(op, host) hint(P .. 'ctl', encode({op = op, host = host})) end

--- ddq_drain {host, worker?, user, reason?} -> {host, worker?, reason}
--- The host, or one worker of it, takes no more work until ddq_resume: its workers finish their batch, return the
--- rest without counting a loss, and exit, so that their devices are free. A drain survives restarts of the daemon
--- and of Redis.
function F.drain(a)
    local user, why = operator_arg(a), sentence_arg(a, 'reason', 300, '')
    local host, worker = place_arg(a)
    local reason = 'drained by ' .. user .. (why ~= '' and ': ' .. why or '')
    call('HSET', P .. 'drains', worker and host .. ' ' .. worker or host, reason)
    tell_host('drain', host)
    return {host = host, worker = worker, reason = reason}
end

--- ddq_resume {host, worker?, user} -> {host, worker?, changed}
--- Ends a drain; resuming a host also resumes its workers. changed: there was a drain.
function F.resume(a)
    operator_arg(a)
    local host, worker = text_arg(a, 'host', NAME), text_arg(a, 'worker', LABEL, true)
    local drains, changed = drains_of(host), 0
    local there = next(drains) ~= nil and (not worker or drains[worker])
    if not there then place_arg(a) end -- a drained host may have been offline for long
    if worker and drains['*'] then
        refuse('refused', 'the whole of host ' .. host .. ' is ' .. drains['*'] .. '; ddq resume ' .. host .. ' ends that')
    end
    for name in pairs(drains) do
        if not worker or name == worker then
            changed = changed + call('HDEL', P .. 'drains', name == '*' and host or host .. ' ' .. name)
        end
    end
    tell_host('resume', host)
    return {host = host, worker = worker, changed = changed > 0}
end

