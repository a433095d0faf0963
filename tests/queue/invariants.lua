-- What must hold between any two calls. Returns the first violations as one text, empty if there are none.
local P, wrong = '{ddq}:', {}
local function is(fact, ...) if not fact and #wrong < 5 then wrong[#wrong + 1] = table.concat({...}, ' ') end end
local call = redis.call
local function number(...) return tonumber(call(...) or '0') end
local FINAL = {done = true, failed = true, cancelled = true}
local lanes, runnable, later, live, owed, busy, points, users = {}, {}, {}, {}, {}, {}, {}, {}

for _, member in ipairs(call('ZRANGE', P .. 'later', 0, -1)) do
    local id, lo, hi = member:match('^(%w+) (%d+) (%d+) ')
    later[id] = later[id] or {}
    table.insert(later[id], {tonumber(lo), tonumber(hi)})
end
for _, token in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    local job = call('HGET', P .. 'lease:' .. token, 'job')
    is(job, 'lease', token, 'has no hash')
    if job then is(call('SISMEMBER', P .. 'job:' .. job .. ':leases', token) == 1, 'lease', token, 'is not in its job') end
    live[token] = true
end
local slots = call('HGETALL', P .. 'slots')
for i = 2, #slots, 2 do is(live[slots[i]], 'slot', slots[i - 1], 'has a dead lease') end

for _, id in ipairs(call('ZRANGE', P .. 'jobs', 0, -1)) do
    local key = P .. 'job:' .. id
    local user, state, lane, report = unpack(call('HMGET', key, 'user', 'state', 'lane', 'report'))
    local images, done, bad = number('HGET', key, 'images'), number('HGET', key, 'done'), number('HGET', key, 'bad')
    local spans, tokens, pending = {}, call('SMEMBERS', key .. ':leases'), call('ZRANGE', key .. ':ranges', 0, -1, 'WITHSCORES')
    for i = 1, #pending, 2 do
        local lo, hi = pending[i]:match('^(%d+)-(%d+)$')
        is(lo == pending[i + 1], id, 'range', pending[i], 'has score', pending[i + 1])
        spans[#spans + 1] = {tonumber(lo), tonumber(hi)}
    end
    for _, token in ipairs(tokens) do
        local lease = P .. 'lease:' .. token
        is(live[token], id, 'has the dead lease', token)
        spans[#spans + 1] = {number('HGET', lease, 'upto'), number('HGET', lease, 'hi')}
        is(number('HGET', lease, 'upto') >= number('HGET', lease, 'lo'), id, 'lease', token, 'went back')
    end
    for _, span in ipairs(later[id] or {}) do if not FINAL[state] then spans[#spans + 1] = span end end
    table.sort(spans, function(a, b) return a[1] < b[1] end)
    local left = 0
    local reached = 0
    for _, span in ipairs(spans) do
        is(span[2] == span[1] or reached <= span[1], id, 'ranges overlap at', span[1])
        reached = math.max(reached, span[2])
        is(span[1] == span[2] or span[1] < images or images == 0 or report == '1', id, 'has a report range too early')
        if span[1] < images then left = left + span[2] - span[1] end
    end
    if FINAL[state] then
        is(#pending == 0, id, 'is', state, 'and has ranges')
        is(not call('ZSCORE', P .. 'active', id), id, 'is', state, 'and active')
    else
        is(done + bad + left == images, id, 'has', done, 'done', bad, 'bad', left, 'left of', images)
        is(left > 0 or #spans > 0 or #tokens > 0, id, 'is', state, 'with nothing left to do')
        is(call('ZSCORE', P .. 'active', id), id, 'is', state, 'and not active')
        is(call('ZSCORE', P .. 'active:' .. user, id), id, 'is', state, 'and not active of', user)
    end
    is(bad == call('ZCARD', key .. ':bad'), id, 'counts', bad, 'bad')
    if state == 'running' then is(#tokens > 0, id, 'runs without a lease') end
    if state == 'queued' or state == 'waiting' then is(#tokens == 0, id, 'is', state, 'with leases') end
    local reason = call('HGET', key, 'reason') or ''
    is(state == 'running' or state == 'done' or reason ~= '', id, 'is', state, 'without a reason')
    local rank, at, window, most = unpack(call('HMGET', key, 'rank', 'at', 'window', 'max_gpus'))
    local queue = P .. 'queue:' .. rank .. ':' .. user .. ':' .. lane
    local should = (state == 'queued' or state == 'running') and #pending > 0 and (not most or #tokens < tonumber(most))
    local stands, timed = call('ZSCORE', queue, id) and true or false, call('ZSCORE', P .. 'timed', id) and true or false
    if at or window then is(not should or stands ~= timed, id, 'stands in the queue and waits for its time, or neither')
    else is(stands == should, id, state, should and 'is not queued' or 'is queued') end
    if stands and not lanes[rank .. ':' .. user .. ':' .. lane] then
        users[rank] = users[rank] or {}
        users[rank][lane] = (users[rank][lane] or 0) + 1
    end
    if stands then lanes[rank .. ':' .. user .. ':' .. lane] = true; runnable[rank .. ' ' .. user] = true end
    for other = 0, 2 do
        local there = call('ZSCORE', P .. 'queue:' .. other .. ':' .. user .. ':' .. lane, id)
        is(rank == tostring(other) or not there, id, 'stands twice')
    end
    local ages = call('ZSCORE', P .. 'aging', id) and true or false
    is(ages == (stands and state == 'queued' and rank ~= '0'), id, state, ages and 'ages' or 'does not age')
    local kind = call('HGET', key, 'kind')
    if not FINAL[state] and kind == 'sample' then owed[user] = (owed[user] or 0) + images - done - bad end
    for _, token in ipairs(tokens) do busy[user] = (busy[user] or 0) + 1 end
    local row = call('HGET', P .. 'rows', id)
    is((row and true or false) == (state ~= 'running'), id, 'is', state, row and 'and has a row' or 'and has no row')
    if row then
        local cells = cjson.decode(row)
        local fits = cells[1] == id and cells[2] == state and cells[6] == reason and cells[7] == done and cells[8] == images
        is(fits, id, 'has an old row', row)
    end
    local group = call('HGET', key, 'group')
    if group then
        is(call('ZSCORE', P .. 'group:' .. user .. '/' .. group, id), id, 'is not in its group', group)
        points[user .. '/' .. group .. ' ' .. state] = (points[user .. '/' .. group .. ' ' .. state] or 0) + 1
    end
end
for name in pairs(lanes) do
    local rank, user, lane = name:match('^(.):(.*):(.*)$')
    local first = call('ZRANGE', P .. 'queue:' .. name, 0, 0, 'WITHSCORES')
    is(call('ZSCORE', P .. 'queue:' .. rank .. ':' .. user, lane) == first[2], 'lane', name, 'is not ordered by its first job')
    is(call('ZSCORE', P .. 'users:' .. rank, user), 'user', user, 'has work and no turn')
end
for rank = 0, 2 do
    local turns = call('ZRANGE', P .. 'users:' .. rank, 0, -1, 'WITHSCORES')
    for i = 1, #turns, 2 do
        is(runnable[rank .. ' ' .. turns[i]], 'user', turns[i], 'has a turn and no work of rank', rank)
        is(call('ZSCORE', P .. 'turns', turns[i]) == turns[i + 1], 'user', turns[i], 'has two virtual times')
    end
end
local function counts(what, key, found)
    local flat = call('HGETALL', P .. key)
    for i = 1, #flat, 2 do
        local has = found[flat[i]] or 0
        is(tonumber(flat[i + 1]) == has, what, flat[i], 'is counted', flat[i + 1], 'and has', has)
        found[flat[i]] = nil
    end
    for user, n in pairs(found) do is(n == 0, what, user, 'is not counted and has', n) end
end
for rank = 0, 2 do counts('users of lane', 'lanes:' .. rank, users[tostring(rank)] or {}) end
counts('images owed to', 'owed', owed)
counts('workers of', 'busy', busy)
for point, n in pairs(points) do
    local group, state = point:match('^(%S+) (%S+)$')
    is(number('HGET', P .. 'group:' .. group .. ':states', state) == n, 'group', group, 'does not count', n, state)
end
return table.concat(wrong, '; ')
