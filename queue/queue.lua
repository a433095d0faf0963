#!lua name=ddq
-- The queue, as one Redis function library (Redis >= 7.0). It is the only thing that writes queue state: clients and
-- daemons call it, so this text is the specification. It is written in files that are loaded as one text, in this order;
-- docs/dev/queue.md has the keys, and the functions as printed from the comments that begin with "--- ".
--
--     queue.lua    constants, answers, arguments, keys, states of a job: only `apply` changes its state
--     json.lua     JSON that comes from callers: strict, or refused
--     fair.lua     fair share between users, the place of a job in the queue, the cost of work
--     work.lua     ranges of images, leases on them, losses
--     groups.lua   the jobs of a sweep, as one
--     files.lua    the files behind the names of a job: was it made from what is there now?
--     jobs.lua     submit, and what a user does to a job
--     users.lua    quotas, weights and settings
--     hosts.lua    hosts, and drains on them
--     adopt.lua    jobs restored from their folders
--     claim.lua    who is next, and who yields
--     why.lua      why a job waits, with numbers
--     look.lua     queries: list, show, events, logs, hosts
--     upgrade.lua  data of an older schema
--     daemons.lua  what else daemons call, and the list of all functions
--
-- A job's work is its images, 0..n-1, and then one report: the range [n, n+1), claimable only when every image is done
-- and no lease is open. The number of images of an evaluation or statistics is known only where their source is: such a
-- job starts with n = 0 and the range [0, 1), its survey, whose finish reports n.
--
-- Rules. Leases are zset deadlines in Redis time, never keys with a TTL: a TTL would run out while Redis is down. A
-- token is a fencing token: late calls get "stale". Images below the `upto` of a renew or finish are on disk and are
-- never made again. A function checks everything before it writes anything. Every loop is bounded.
--
-- To add a function: its body in F with a "--- " comment, its name in NAMES at the end, an enum value in queue.h, a row in
-- queue.c; then scripts/docs. To add a state or an event: TRANSITIONS here and the table in lifecycle.c;
-- to add a kind of job: KINDS here and the table in jobkind.c. A test compares.

local SCHEMA = 2
local P = '{ddq}:'
local DAY_MS = 24 * 3600 * 1000
local MAX_USERS, MAX_LANES, MAX_HEADS = 256, 32, 8 -- how many of each a claim reads
local FEW_USERS = 4                  -- and how many users at first
local MAX_WORKERS = 1024             -- most workers of all hosts that are considered
local IDLE_MS = 3000                 -- an idle worker claims a job within this time
local MAX_REAP, MAX_KIDS = 100, 256  -- what one call cleans up; the next call continues
local MAX_PARENTS = 32               -- jobs that one job may wait for
local FIRST_RANGE = 8                -- images of a kind of work whose speed is unknown
local CREDIT_MS = 600000             -- a user who could not run may be at most this far behind the others
-- Weights of losses without progress: crashes below 16, errors above. A host without heartbeats is weaker evidence.
local BLAME = {crash = 2, silence = 1, error = 16}
local CRASHES_MAX = 6                -- then a range is split, and an image that is alone is given up
local ERRORS_MAX = 5                 -- then the job fails
local EVENTS, LOG_LINES, SPEEDS = 10000, 2000, 1000
local TIERS = {interactive = 0, normal = 1, scavenger = 2} -- lower goes first
local TIER_NAMES = {[0] = 'interactive', 'normal', 'scavenger'}

-- What an administrator may change (ddq_settings), with the usual values.
local SETTINGS = {
    aging_ms = 1800000,      -- a job that waits this long gains a tier; 0: never
    interactive_ms = 900000, -- interactive work per user and hour; beyond it counts as normal
    slack_ms = 60000,        -- a warm model may go before the fairest by this much virtual time
    half_life_ms = 86400000, -- how fast a user's lead over others decays
    same_ms = 86400000,      -- how long the same spec of the same user is the same job
}

local TRANSITIONS = {
    queued = {claim = 'running', hold = 'held', cancel = 'cancelled'},
    waiting = {parent_done = 'queued', fail = 'failed', hold = 'held', cancel = 'cancelled'},
    running = {claim = 'running', idle = 'queued', complete = 'done', fail = 'failed', hold = 'held', cancel = 'cancelled'},
    held = {release = 'queued', wait = 'waiting', complete = 'done', fail = 'failed', cancel = 'cancelled'},
    done = {}, failed = {}, cancelled = {},
}
local FINAL = {done = true, failed = true, cancelled = true}

-- The kinds of job, as in spec/jobkind.c. reads_source: a survey counts its images; else the submit does.
local KINDS = {
    sample = {reads_source = false, counts_against_quota = true},
    evaluate = {reads_source = true, counts_against_quota = false},
    statistics = {reads_source = true, counts_against_quota = false},
}
local function counted(kind)
    local row = KINDS[kind]
    return row ~= nil and row.counts_against_quota
end

-- ---- answers: cjson writes an empty table as {}, so lists are marked; texts that are JSON are raw --------------------

local List, Raw = {}, {}
local function list(items) return setmetatable(items or {}, List) end
local function raw(text) return setmetatable({text}, Raw) end
local function int(value) return string.format('%d', value) end

-- Most texts are plain: printable ASCII without " and \. cjson encodes only the others, as it costs more than the rest
-- of an answer.
local function encode_text(text)
    return text:find('[^]-~ !#-[]') and cjson.encode(text) or '"' .. text .. '"'
end
local function encode_number(value)
    if value ~= value or value == math.huge or value == -math.huge then return 'null' end
    if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return int(value) end
    local short = string.format('%.15g', value)
    return tonumber(short) == value and short or string.format('%.17g', value)
end

local function encode(value)
    local is = type(value)
    if is == 'string' then return encode_text(value) end
    if is == 'number' then return encode_number(value) end
    if is ~= 'table' then return cjson.encode(value) end
    local kind, parts = getmetatable(value), {}
    if kind == Raw then return value[1] end
    if kind == List then
        for i = 1, #value do parts[i] = encode(value[i]) end
        return '[' .. table.concat(parts, ',') .. ']'
    end
    for key, item in pairs(value) do parts[#parts + 1] = encode_text(tostring(key)) .. ':' .. encode(item) end
    return '{' .. table.concat(parts, ',') .. '}'
end

-- Ends the call with a status that is not "ok". Nothing may have been written yet.
local function refuse(status, text) error({refusal = true, status = status, text = text}) end

-- ---- arguments: each is checked by type, length and alphabet before it becomes part of a key -------------------------

-- json.lua: a caller's JSON as a value, nil if it is none; a text without stray bytes; whether a text may be handed on as it
-- is (each file is wrapped in do ... end when it is embedded, and sets what the first one declares)
local decode, as_utf8, is_object

local NAME = {'^[A-Za-z0-9_][A-Za-z0-9._-]*$', 64, 'at most 64 letters, digits and . _ - with none of . - first'}
local ID = {'^[0-9a-hjkmnp-tv-z]+$', 26, 'a job id: digits and small letters without i, l, o, u'}
local TOKEN = {'^%d+$', 20, 'a token: digits'}
local WORD = {'^[a-z_]+$', 20, 'one word of small letters'}
local STREAM_ID = {'^%d+%-?%d*$', 41, 'the id of a stream entry, like 1763866921000-0'}
local LABEL = {'^[%w._:/@+-]+$', 128, 'at most 128 letters, digits and . _ : / @ + -'}
local KEY = {'^[^%c]*$', 300, 'at most 300 characters'}
local PATH = {'^[^%c]*$', 4000, 'a path of at most 4000 characters'}

local function shown(value)
    if value == nil or value == cjson.null then return 'absent' end
    if type(value) == 'table' then return 'a list or an object' end
    return "'" .. as_utf8(tostring(value):sub(1, 60)):gsub('%c', '?') .. "'"
end
local function given(a, name)
    local value = a[name]
    if value ~= cjson.null then return value end
end
local function text_arg(a, name, shape, optional)
    local value = given(a, name)
    if optional and (value == nil or value == '') then return nil end
    if type(value) ~= 'string' or #value > shape[2] or not value:match(shape[1]) then
        refuse('usage', name .. ' is ' .. shown(value) .. ', wanted ' .. shape[3])
    end
    return as_utf8(value)
end
-- Free text is never refused: it is cut at a whole character and made one line.
local function sentence_arg(a, name, longest, default)
    local value = given(a, name)
    if type(value) ~= 'string' or value == '' then return default end
    if #value > longest then value = value:sub(1, longest):gsub('[\192-\255][\128-\191]*$', '') .. '...' end
    return (as_utf8(value):gsub('%c', ' '))
end
local function number_arg(a, name, lowest, highest, default)
    local value = given(a, name)
    if value == nil and default ~= nil then return default end
    if type(value) ~= 'number' or value ~= math.floor(value) or value < lowest or value > highest then
        refuse('usage', name .. ' is ' .. shown(value) .. ', wanted a whole number from ' .. int(lowest) .. ' to ' ..
            int(highest))
    end
    return value
end
local function amount_arg(a, name) -- a measurement that may be absent
    local value = given(a, name)
    if type(value) == 'number' and value >= 0 and value < 2 ^ 53 then return value end
end
-- A flat object of measured numbers that may be absent: its JSON. Entries that are not numbers under plain names are
-- left out.
local function figures_arg(a, name, most)
    local value, parts = given(a, name), {}
    if type(value) ~= 'table' then return nil end
    for key, number in pairs(value) do
        if type(key) == 'string' and #key <= 32 and key:match('^[a-z][a-z0-9_]*$') and type(number) == 'number' and
            math.abs(number) < 2 ^ 53 and #parts < most then
            parts[#parts + 1] = '"' .. key .. '":' .. encode(number)
        end
    end
    table.sort(parts)
    return #parts > 0 and '{' .. table.concat(parts, ',') .. '}' or nil
end
local function list_arg(a, name, longest)
    local value = given(a, name)
    if value == nil then return {} end
    if type(value) ~= 'table' or #value > longest or (#value == 0 and next(value) ~= nil) then
        refuse('usage', name .. ' is ' .. shown(value) .. ', wanted a list of at most ' .. longest)
    end
    return value
end
local function labels_arg(a, name, longest)
    local labels = list_arg(a, name, longest)
    for i = 1, #labels do
        local label = labels[i]
        if type(label) ~= 'string' or #label > LABEL[2] or not label:match(LABEL[1]) then
            refuse('usage', name .. ' ' .. i .. ' is ' .. shown(label) .. ', wanted ' .. LABEL[3])
        end
    end
    return labels
end
local function set_of(items)
    local set = {}
    for i = 1, #items do set[items[i]] = true end
    return set
end

-- ---- keys and small readers ------------------------------------------------------------------------------------------

local function call(...) return redis.call(...) end -- redis.call is not available while a library loads

-- Publishes a hint that something changed. The change itself is in the keys: a caller who may not publish (an ACL
-- without +publish or without the channels) must not stop in the middle of it.
local function hint(channel, text) redis.pcall('PUBLISH', channel, text) end
local memo = {} -- values cached during a call: its time and the settings; the entry point empties it
local function now()
    if not memo.time then
        local t = call('TIME')
        memo.time = t[1] * 1000 + math.floor(t[2] / 1000)
    end
    return memo.time
end
local function job_key(id, part) return P .. 'job:' .. id .. (part and ':' .. part or '') end
local function lease_key(token) return P .. 'lease:' .. token end
local function job_get(id, ...)
    local values = call('HMGET', job_key(id), ...)
    for i = 1, #values do values[i] = values[i] or nil end
    return unpack(values, 1, select('#', ...))
end
-- Only these two write a job's hash: `touched` says which rows of ddq_list are to be made anew.
local touched = {}
local function job_set(id, ...)
    touched[id] = true
    call('HSET', job_key(id), ...)
end
local function job_add(id, field, number)
    touched[id] = true
    return call('HINCRBY', job_key(id), field, number)
end
local function group_key(user, group, part) return P .. 'group:' .. user .. '/' .. group .. (part and ':' .. part or '') end
local function range_member(lo, hi) return int(lo) .. '-' .. int(hi) end
local function range_of(member)
    local lo, hi = member:match('^(%d+)-(%d+)$')
    return tonumber(lo), tonumber(hi)
end

local function setting(name)
    if not memo.settings then
        memo.settings = {}
        local flat = call('HGETALL', P .. 'settings')
        for i = 1, #flat, 2 do memo.settings[flat[i]] = flat[i + 1] end
    end
    return tonumber(memo.settings[name] or SETTINGS[name])
end

-- What a caller may: through the gate of a daemon ARGV 3 says it; without a gate the caller holds the Redis, and its word
-- is taken.
local function is_admin(name)
    if memo.rights then return memo.rights == 'admin' end
    return name == 'root'
end
local function listed_admin(name)
    local admins = ' ' .. (call('HGET', P .. 'settings', 'admins') or '') .. ' '
    return admins:find(' ' .. name .. ' ', 1, true) ~= nil
end

-- The whole id for an id or a unique prefix.
local function job_arg(a, name)
    local value = given(a, name)
    local prefix = text_arg({[name] = type(value) == 'string' and value:lower() or value}, name, ID)
    if job_get(prefix, 'state') then return prefix end
    local found = call('ZRANGEBYLEX', P .. 'ids', '[' .. prefix, '[' .. prefix .. '\255', 'LIMIT', 0, 6)
    if #found == 1 and job_get(found[1], 'state') then return found[1] end
    if #found < 2 then refuse('not_found', 'job ' .. prefix .. ' not found; ddq ls --all lists all ' ..
        'jobs, and ddq adopt FOLDER restores one that Redis has lost') end
    local some = table.concat(found, ', ', 1, math.min(#found, 5)) .. (#found > 5 and ' and more' or '')
    refuse('not_found', 'job ' .. prefix .. ' is not unique, it may be ' .. some .. '; give more characters')
end

-- ---- states of a job -------------------------------------------------------------------------------------------------

-- What the files share. Each file is wrapped in do ... end when it is embedded (cmake/embed.cmake), so its other locals
-- are private; it sets these without `local`.
-- fair.lua: whose turn it is; `place` puts a job where claims find it, or removes it, by its state and ranges;
-- `owe` counts a user's images that are still to be made
local place, owe, weight_of, floor_get, turn_get, turn_set, charge, forget_turns, used_ms, count_use,
    urgent_ms, count_urgent, QUOTAS, quotas_get, quota, made_key, order_of, priority_of, queue_key,
    queue_take_out, window_of, closed_ms, clock_text, urgent, move, lane_of, lacks, key_arg, learn,
    learn_memory
-- work.lua
local put_range, take_range, promote, lease_get, new_token, credit, drop, open_report, open_images, settle,
    lose
-- groups.lua
local group_arg, join, leave, rate_of
-- files.lua
local files_seen, files_arg, inputs_arg, changed_files, same_job
-- jobs.lua
local parents_arg, check_quota, wanted_job, ask
-- hosts.lua
local drain_of, drains_of, live_hosts
-- claim.lua
local worker_ready, refuses_anywhere, consider, take, live_workers, preempt
-- why.lua
local why_of
-- look.lua
local keep_rows
-- upgrade.lua
local upgrade

-- Publishes a change; all of it can be read as state too. Claims are woken by `place`.
local function announce(id, event, from, to, user, reason, group)
    call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS, '*',
        'job', id, 'user', user, 'event', event, 'from', from, 'to', to, 'reason', reason)
    local message = encode({type = 'state', job = id, state = to, reason = reason})
    hint(job_key(id, 'live'), message)
    if group then hint(group_key(user, group, 'live'), message) end
    if FINAL[to] or to == 'held' then
        hint(P .. 'ctl', encode({op = to == 'held' and 'yield' or 'cancel', job = id}))
    end
end

local BETWEEN = 'waits for a free worker' -- the reason of a job between two ranges, for a moment or for long

-- Jobs that go from range to range would fill the stream of events with idle and claim: neither is published then.
local function is_between(event, from, reason, was)
    if event == 'idle' then return reason == BETWEEN end
    return event == 'claim' and from == 'queued' and was == BETWEEN
end

-- The only function that changes a job's state. `reason`: why it is not running, in words.
local function apply(id, event, reason)
    local from, user, was, group, started = job_get(id, 'state', 'user', 'reason', 'group', 'started')
    local to = TRANSITIONS[from][event]
    if not to then refuse('refused', 'job ' .. id .. ' is ' .. from .. ', so ' .. event .. ' is not possible') end
    if from == to then return to end
    reason = reason or ''
    local time = int(now())
    job_set(id, 'state', to, 'reason', reason, 'changed', time,
        unpack(to == 'running' and not started and {'started', time} or {}))
    if group then
        call('HINCRBY', group_key(user, group, 'states'), from, -1)
        call('HINCRBY', group_key(user, group, 'states'), to, 1)
    end
    if FINAL[to] then
        local kind, images, done, bad = job_get(id, 'kind', 'images', 'done', 'bad')
        if counted(kind) then owe(user, tonumber(done) + tonumber(bad) - tonumber(images)) end
        job_set(id, 'finished', time)
        call('ZREM', P .. 'active', id)
        call('ZREM', P .. 'active:' .. user, id)
        call('DEL', job_key(id, 'ranges'), job_key(id, 'blame'))
        if call('EXISTS', job_key(id, 'kids')) == 1 then call('SADD', P .. 'ended', id) end
    end
    place(id)
    if not is_between(event, from, reason, was) then announce(id, event, from, to, user, reason, group) end
    return to
end

-- Why a job waits: the jobs of its `after` that have not ended.
local function waits_text(id)
    local left = {}
    for parent in job_get(id, 'after'):gmatch('%w+') do
        if not FINAL[job_get(parent, 'state') or 'failed'] then left[#left + 1] = parent end
    end
    return 'waits for job ' .. table.concat(left, ', ')
end

-- Why dependents cannot use a job that has ended: nil when it is done with all of its images.
local function spoilt(id)
    local state, bad = job_get(id, 'state', 'bad')
    if state ~= 'done' then return state or 'gone' end
    if bad ~= '0' then return 'done, but lacks ' .. bad .. (bad == '1' and ' image' or ' images') end
end

-- What a job does when one that it waited for failed: after_failed of ddq_submit.
local AFTER_FAILED = {fail = 'fail', hold = 'hold', run = false}

-- Updates a job after one that it waits for has ended.
local function update_kid(kid, state, id)
    local why, wish = spoilt(id), job_get(kid, 'after_failed') or 'fail'
    local left = job_add(kid, 'parents', -1)
    local event = why and AFTER_FAILED[wish]
    if event and TRANSITIONS[state][event] then
        apply(kid, event, 'it waited for job ' .. id .. ', which is ' .. why)
    elseif state == 'waiting' and left <= 0 then
        apply(kid, 'parent_done', 'waits for its turn')
    elseif state == 'waiting' then
        job_set(kid, 'reason', waits_text(kid))
    end
end

-- Updates the jobs that wait for one that ended. A long chain is updated in parts: the next call that writes continues.
local function tell_kids()
    for _ = 1, MAX_KIDS do
        local id = call('SRANDMEMBER', P .. 'ended')
        if not id then return end
        local kid = call('SPOP', job_key(id, 'kids'))
        local state = kid and job_get(kid, 'state')
        if not kid then
            call('SREM', P .. 'ended', id)
        elseif state and not FINAL[state] then
            update_kid(kid, state, id)
        end
    end
end

local F = {} -- the functions by name
