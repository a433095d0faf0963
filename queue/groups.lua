-- ---- groups: the jobs of a sweep, as one ------------------------------------------------------------------------------
-- group:USER/NAME: its jobs by number; group:USER/NAME:states: how many are in which state; groups, groups:USER:
-- "USER/NAME" by the number of the last job.

local MAX_POINTS = 1000

-- The name of a user's group that has room for another job.
function group_arg(a, user)
    local group = text_arg(a, 'group', NAME, true)
    if group and call('ZCARD', group_key(user, group)) >= MAX_POINTS then
        refuse('refused', 'group ' .. group .. ' has ' .. MAX_POINTS .. ' jobs, which is the maximum; use another name')
    end
    return group
end

function join(id, user, group, point, seq, state)
    job_set(id, 'group', group, 'point', point or '{}')
    call('ZADD', group_key(user, group), seq, id)
    call('HINCRBY', group_key(user, group, 'states'), state, 1)
    for _, index in ipairs({'groups', 'groups:' .. user}) do call('ZADD', P .. index, seq, user .. '/' .. group) end
end

function leave(id, user, group, state)
    call('ZREM', group_key(user, group), id)
    call('HINCRBY', group_key(user, group, 'states'), state, -1)
    if call('EXISTS', group_key(user, group)) == 1 then return end
    call('DEL', group_key(user, group, 'states'))
    for _, index in ipairs({'groups', 'groups:' .. user}) do call('ZREM', P .. index, user .. '/' .. group) end
end

-- An existing group: NAME of this user, or USER/NAME.
local function known_group_arg(a)
    local user, group = text_arg(a, 'user', NAME), text_arg(a, 'group', {'^[%w._/-]+$', 129, 'a group: NAME or USER/NAME'})
    local owner, name = group:match('^([^/]+)/([^/]+)$')
    owner, name = owner or user, name or group
    if call('EXISTS', group_key(owner, name)) == 0 then
        refuse('not_found', 'group ' .. name .. ' of ' .. owner .. ' not found; ddq_groups lists the groups')
    end
    return owner, name, user
end

local function states_of(owner, name)
    local states, all, ended, flat = {}, 0, 0, call('HGETALL', group_key(owner, name, 'states'))
    for i = 1, #flat, 2 do
        local count = tonumber(flat[i + 1])
        if count > 0 then states[flat[i]] = count end
        all, ended = all + count, ended + (FINAL[flat[i]] and count or 0)
    end
    return {group = name, user = owner, states = states, jobs = all, ended = ended == all}
end

-- The present images per second of a job's workers.
function rate_of(id)
    local rate = 0
    for _, token in ipairs(call('SMEMBERS', job_key(id, 'leases'))) do
        rate = rate + tonumber(call('HGET', lease_key(token), 'rate') or 0)
    end
    return rate
end

--- ddq_group {group, user} -> {group, user, states{}, jobs, ended, images, done, rate, left_ms?, points[]}
--- A sweep as a whole: number of jobs per state, images in total and done, images per second now, the remaining
--- time at that rate, and whether all jobs have ended. points, in order: {id, name, point{}, state, reason, images,
--- done, fid?, metrics{}?}. group: NAME of this user, or USER/NAME.
function F.group(a)
    local owner, name = known_group_arg(a)
    local answer, points, images, done, rate = states_of(owner, name), list(), 0, 0, 0
    for _, id in ipairs(call('ZRANGE', group_key(owner, name), 0, MAX_POINTS - 1)) do
        local point, state, reason, n, made, fid, metrics, called =
            job_get(id, 'point', 'state', 'reason', 'images', 'done', 'fid', 'metrics', 'name')
        if state then
            points[#points + 1] = {id = id, name = called, point = raw(point or '{}'), state = state, reason = reason,
                images = tonumber(n), done = tonumber(made), fid = tonumber(fid), metrics = metrics and raw(metrics)}
            images, done = images + n, done + made
            if state == 'running' then rate = rate + rate_of(id) end
        end
    end
    answer.points, answer.images, answer.done, answer.rate = points, images, done, rate
    if rate > 0 then answer.left_ms = math.floor((images - done) / rate * 1000) end
    return answer
end

--- ddq_groups {user?, limit?} -> {groups[]}
--- Lists sweeps, the latest first: {group, user, states{}, jobs, ended}.
function F.groups(a)
    local user, limit = text_arg(a, 'user', NAME, true), number_arg(a, 'limit', 1, 1000, 100)
    local groups = list()
    for _, both in ipairs(call('ZREVRANGE', P .. 'groups' .. (user and ':' .. user or ''), 0, limit - 1)) do
        groups[#groups + 1] = states_of(both:match('^([^/]+)/(.+)$'))
    end
    return {groups = groups}
end

--- ddq_group_cancel {group, user} -> {group, user, states{}, jobs, ended, cancelled}
--- Cancels all jobs of a sweep that have not ended. Only the owner or root may.
function F.group_cancel(a)
    local owner, name, user = known_group_arg(a)
    if user ~= owner and user ~= 'root' then
        refuse('permission', 'group ' .. name .. ' belongs to ' .. owner .. ', not to ' .. user)
    end
    local cancelled = 0
    for _, id in ipairs(call('ZRANGE', group_key(owner, name), 0, MAX_POINTS - 1)) do
        local state = job_get(id, 'state')
        if state and not FINAL[state] then
            apply(id, 'cancel', 'cancelled by ' .. user .. ', with its group ' .. name)
            cancelled = cancelled + 1
        end
    end
    local answer = states_of(owner, name)
    answer.cancelled = cancelled
    return answer
end

