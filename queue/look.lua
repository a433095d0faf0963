-- ---- what callers see ------------------------------------------------------------------------------------------------

local function lease_view(lease)
    return {token = lease.token, phase = lease.phase, lo = lease.lo, hi = lease.hi, upto = lease.upto, host = lease.host,
        worker = lease.worker, device = lease.device, pid = lease.pid, rate = lease.rate, stage = lease.stage,
        since = lease.since}
end

-- Lists of a thousand jobs are common, so a job's JSON is built from texts in Redis: what never changes is kept as JSON
-- (about), the rest is added by one format, then the optional fields.
local CHANGES = {'about', 'state', 'images', 'done', 'bad', 'errors', 'priority', 'folder', 'root', 'reason', 'error',
    'started', 'finished', 'fid', 'rate', 'metrics'}
local FORMAT = '{%s,"state":"%s","images":%s,"n":%s,"done":%s,"bad":%s,"errors":%s,"priority":%s,"workers":%d,' ..
    '"output":%s,"reason":%s'

-- The JSON of a job, without its last brace, its leases and its state; nil if there is none. Times are ms since 1970,
-- rate is images per second: of all its workers now, or of the last range while none works.
local function job_view(id, why)
    local about, state, images, done, bad, errors, priority, folder, root, reason, err, started, finished, fid, rate,
        metrics = unpack(call('HMGET', job_key(id), unpack(CHANGES)))
    if not state then return nil end
    local leases, live_rate = list(), 0
    if state == 'running' or state == 'held' then
        for _, token in ipairs(call('SMEMBERS', job_key(id, 'leases'))) do
            local lease = lease_get(token)
            if lease and lease.phase == 'images' then live_rate = live_rate + lease.rate end
            leases[#leases + 1] = lease and lease_view(lease)
        end
    end
    if why and state == 'queued' then reason = why_of(id).text end
    local text = FORMAT:format(about, state, images, images, done, bad, errors, priority, #leases,
        root and cjson.encode(root .. '/' .. folder) or '""', reason == '' and '""' or cjson.encode(reason))
    if started then text = text .. ',"started":' .. started end
    if finished then text = text .. ',"finished":' .. finished end
    if fid then text = text .. ',"fid":' .. fid end
    if metrics then text = text .. ',"metrics":' .. metrics end
    if live_rate > 0 or rate then text = text .. ',"rate":' .. encode(live_rate > 0 and live_rate or tonumber(rate)) end
    if err then text = text .. ',"error":' .. cjson.encode(err) end
    return text, leases, state
end

-- A job's table row, as a JSON list in this order (fid -1: none). Ten thousand of them must be fast, so the row of a job
-- that does not run is kept as text in `rows` whenever the job's hash is written.
local COLUMNS = {'id', 'state', 'user', 'model', 'name', 'reason', 'done', 'images', 'rate', 'created', 'tier', 'kind',
    'recipe', 'fid'}
local ROW = '["%s","%s","%s","%s","%s",%s,%s,%s,%s,%s,"%s","%s",%s,%s]'

local function row_of(id, rate)
    local known, state, user, model, name, reason, done, images, old_rate, created, tier, kind,
        recipe, fid = job_get(id, unpack(COLUMNS))
    if not known then return nil end
    return ROW:format(known, state, user, model, name, encode_text(reason), done, images,
        rate and rate > 0 and encode_number(rate) or old_rate or 0, created, TIER_NAMES[tonumber(tier or 1)], kind,
        encode_text(recipe or ''), fid or -1), state
end

-- At the end of a call that writes.
function keep_rows()
    for id in pairs(touched) do
        local row, state = row_of(id)
        if row and state ~= 'running' then
            call('HSET', P .. 'rows', id, row)
        else
            call('HDEL', P .. 'rows', id)
        end
    end
end

local QUOTE = 34 -- the rows of an earlier version end with a text: they lack the last columns

-- The JSON of some jobs, of those in a state alone if one is given, as one text, and how many they are.
local function rows_of(ids, state)
    local rows, count = #ids > 0 and call('HMGET', P .. 'rows', unpack(ids)) or {}, 0
    for i = 1, #ids do
        local row = rows[i]
        if not row or row:byte(-2) == QUOTE then row = row_of(ids[i], rate_of(ids[i])) end
        if row and (not state or row:match('^%["[^"]*","([^"]*)"') == state) then
            count = count + 1
            rows[count] = row
        end
    end
    return table.concat(rows, ',', 1, count), count
end
local function views_of(ids, state)
    local views = {}
    for i = 1, #ids do
        local view, _, is = job_view(ids[i])
        if view and (not state or is == state) then views[#views + 1] = view .. '}' end
    end
    return table.concat(views, ','), #views
end

-- Those of some jobs that need one thing.
local function with_need(ids, need)
    local some = {}
    for i = 1, #ids do
        local needs = ' ' .. (job_get(ids[i], 'needs') or '') .. ' '
        if needs:find(' ' .. need .. ' ', 1, true) then some[#some + 1] = ids[i] end
    end
    return some
end

--- ddq_list {user?, state?, active?, needs?, limit?, rows?} -> {jobs[], more} or {columns[], rows[], more}
--- Newest first; active: only jobs that have not ended; needs: only jobs that need this ("reference:digits"). A job
--- is {id, user, kind, model, name, recipe?, state, reason, error?, tier, group?, point{}?, max_gpus?, at?, window?,
--- after[]?, device, folder, output, images, n, done, bad, errors, priority, created, started?, finished?, rate?,
--- workers, fid?, metrics{}?}. With rows: true each job is a list in the order of columns, the content of a table
--- row, which is five times as fast. more: not all jobs were looked at.
function F.list(a)
    local user, state = text_arg(a, 'user', NAME, true), text_arg(a, 'state', WORD, true)
    if state and not TRANSITIONS[state] then refuse('usage', 'state is ' .. shown(state) .. ', which is not a state of jobs') end
    local limit, need = number_arg(a, 'limit', 1, 100000, 100), text_arg(a, 'needs', LABEL, true)
    local active = a.active == true or (state and not FINAL[state])
    local key = P .. (active and 'active' or 'jobs') .. (user and ':' .. user or '')
    local parts, count, looked, all = {}, 0, 0, math.min(call('ZCARD', key), math.max(limit, 20000))
    local look = a.rows == true and rows_of or views_of
    while count < limit and looked < all do
        local ids = call('ZREVRANGE', key, looked, looked + math.min(limit - count, 500) - 1)
        local text, some = look(need and with_need(ids, need) or ids, state)
        if some > 0 then parts[#parts + 1] = text end
        count, looked = count + some, looked + #ids
        if #ids == 0 then break end
    end
    local found, more = raw('[' .. table.concat(parts, ',') .. ']'), call('ZCARD', key) > looked
    if a.rows == true then return {columns = list(COLUMNS), rows = found, more = more} end
    return {jobs = found, more = more}
end

--- ddq_show {id} -> {job{}, leases[]}
--- The id may be a unique prefix. job is as in ddq_list, with spec, needs, missing[] (images that were given up, at
--- most 100) and, while it is queued, a reason with numbers. A lease is {token, phase, lo, hi, upto, host, worker,
--- device, pid, rate, stage, since}.
function F.show(a)
    local id = job_arg(a, 'id')
    local view, leases = job_view(id, true)
    local spec, needs = job_get(id, 'spec', 'needs')
    local missing = table.concat(call('ZRANGE', job_key(id, 'bad'), 0, 99), ',')
    if not decode(spec) then spec = encode(spec) end -- an older library took it
    view = view .. ',"needs":' .. cjson.encode(needs) .. ',"missing":[' .. missing .. '],"spec":' .. spec .. '}'
    return {job = raw(view), leases = leases}
end

local function stream_rows(rows)
    local items = list()
    for _, row in ipairs(rows) do
        local item = {id = row[1]}
        for i = 1, #row[2], 2 do item[row[2][i]] = row[2][i + 1] end
        items[#items + 1] = item
    end
    return items, #items > 0 and items[#items].id or nil
end

--- ddq_events {after?, count?} -> {events[], last}
--- Transitions {id, job, user, event, from, to, reason}, oldest first. after: id of the last event that the caller
--- has. Without it, the newest `count`. An event's id begins with its time in ms.
function F.events(a)
    local after, count = text_arg(a, 'after', STREAM_ID, true), number_arg(a, 'count', 1, 10000, 100)
    local rows
    if after then
        rows = call('XRANGE', P .. 'events', '(' .. after, '+', 'COUNT', count)
    else
        local newest = call('XREVRANGE', P .. 'events', '+', '-', 'COUNT', count)
        rows = {}
        for i = #newest, 1, -1 do rows[#rows + 1] = newest[i] end
    end
    local events, last = stream_rows(rows)
    return {events = events, last = last or after or '0-0'}
end

--- ddq_logs {id, after?, count?} -> {lines[], last}
--- Log lines from the workers of a job, {id, level, text}, oldest first; after: id of the last line that the caller
--- has.
function F.logs(a)
    local id, after = job_arg(a, 'id'), text_arg(a, 'after', STREAM_ID, true)
    local count, from = number_arg(a, 'count', 1, 10000, 1000), after and '(' .. after or '-'
    local lines, last = stream_rows(call('XRANGE', job_key(id, 'log'), from, '+', 'COUNT', count))
    return {lines = lines, last = last or after or '0-0'}
end

