-- ---- whose turn it is: virtual time is ms of work / weight ------------------------------------------------------------
-- turns: zset of users by virtual time: those with runnable jobs and those ahead of the floor; users:RANK has the users
-- with runnable jobs of that rank, with the same virtual time. floor is the current virtual time: a returning user
-- starts there, since idle time earns no credit; the lead of users ahead of it decays by the half-life.

function weight_of(user) return tonumber(call('HGET', P .. 'weights', user) or 1) end
function floor_get() return tonumber(call('GET', P .. 'floor') or 0) end
function turn_get(user) return tonumber(call('ZSCORE', P .. 'turns', user) or nil) end
function turn_set(user, vtime)
    call('ZADD', P .. 'turns', vtime, user)
    for rank = 0, 2 do call('ZADD', P .. 'users:' .. rank, 'XX', vtime, user) end
end

function charge(user, ms)
    if ms ~= 0 then turn_set(user, (turn_get(user) or floor_get()) + ms / weight_of(user)) end
end

-- What is left of an amount after some time, by the half-life.
local function decayed(amount, ms, half_life_ms) return amount * 2 ^ (-math.max(0, ms) / half_life_ms) end

-- Decays the lead of users ahead of the floor; from time to time is enough, as all decay alike.
function forget_turns(time)
    local half, last = setting('half_life_ms'), tonumber(call('GET', P .. 'decayed') or time)
    if time - last >= half / 24 then
        local floor = floor_get()
        local ahead = call('ZRANGEBYSCORE', P .. 'turns', '(' .. floor, '+inf', 'WITHSCORES', 'LIMIT', 0, MAX_USERS)
        for i = 1, #ahead, 2 do
            turn_set(ahead[i], floor + decayed(tonumber(ahead[i + 1]) - floor, time - last, half))
        end
        for _, user in ipairs(call('ZRANGEBYSCORE', P .. 'turns', '-inf', floor, 'LIMIT', 0, MAX_USERS)) do
            if call('EXISTS', P .. 'queue:0:' .. user, P .. 'queue:1:' .. user, P .. 'queue:2:' .. user) == 0 then
                call('ZREM', P .. 'turns', user)
            end
        end
        last = time
    end
    call('SET', P .. 'decayed', int(last))
end

-- A user's recent usage, in decaying ms: "MS STAMP" in usage, for display.
function used_ms(user, time)
    local ms, stamp = (call('HGET', P .. 'usage', user) or '0 0'):match('^(%S+) (%S+)$')
    return decayed(tonumber(ms), time - tonumber(stamp), setting('half_life_ms'))
end
function count_use(user, ms)
    local time = now()
    call('HSET', P .. 'usage', user, ('%.1f %.0f'):format(used_ms(user, time) + ms, time))
end

-- A user's interactive work, as "MS STAMP" in urgent: it drains by interactive_ms an hour.
function urgent_ms(user, time, an_hour)
    local ms, stamp = (call('HGET', P .. 'urgent', user) or '0 0'):match('^(%S+) (%S+)$')
    return math.max(0, tonumber(ms) - (time - tonumber(stamp)) * an_hour / 3600000)
end
function count_urgent(user, ms)
    local time = now()
    local total = urgent_ms(user, time, setting('interactive_ms')) + ms
    call('HSET', P .. 'urgent', user, ('%.1f %.0f'):format(math.max(0, total), time))
end

-- ---- quotas ----------------------------------------------------------------------------------------------------------
-- quotas: "USER NAME" -> number, with * for everybody. owed: images a user still waits for; busy: leases; made:DAY: images
-- of a day (UTC), counted when they are claimed.

QUOTAS = {workers = 100000, queued = 1e12, day = 1e12} -- and the largest value of each

function quotas_get()
    local map, flat = {}, call('HGETALL', P .. 'quotas')
    for i = 1, #flat, 2 do map[flat[i]] = tonumber(flat[i + 1]) end
    return map
end
function quota(quotas, user, name) return quotas[user .. ' ' .. name] or quotas['* ' .. name] end
function owe(user, images)
    if images ~= 0 then call('HINCRBY', P .. 'owed', user, int(images)) end
end
function made_key(time) return P .. 'made:' .. int(math.floor(time / DAY_MS)) end

-- ---- where a job is queued -------------------------------------------------------------------------------------------
-- A lane is what decides whether a worker can take a job: its needs, its device, its memory. A user's runnable jobs of
-- a rank are in one zset per lane (queue:RANK:USER:LANE, by own priority, then order of arrival), and queue:RANK:USER
-- orders the lanes by their first job. So a claim reads the heads only, and jobs that no worker can run never hide
-- those behind them. The rank is the job's tier, less what it gained by waiting.

function order_of(priority, seq) return -priority * 2 ^ 40 + seq end
function priority_of(order) return -math.floor(order / 2 ^ 40) end
function queue_key(rank, user, lane) return P .. 'queue:' .. rank .. ':' .. user .. (lane and ':' .. lane or '') end

local function start_turn(user, rank)
    local vtime, floor = turn_get(user), floor_get()
    if not vtime or (vtime < floor and call('EXISTS', queue_key(0, user), queue_key(1, user), queue_key(2, user)) < 2) then
        vtime = floor
    end
    call('ZADD', P .. 'turns', vtime, user)
    call('ZADD', P .. 'users:' .. rank, vtime, user)
end

-- lanes:RANK counts the users that have something in a lane, so that a claim sees at once whether one of them is warm.
local function count_lane(rank, lane, by)
    if call('HINCRBY', P .. 'lanes:' .. rank, lane, by) == 0 then call('HDEL', P .. 'lanes:' .. rank, lane) end
end

-- Returns whether anything changed.
local function queue_put(id, user, rank, lane, order)
    local queue = queue_key(rank, user, lane)
    if call('ZADD', queue, 'CH', order, id) == 0 then return false end
    if call('ZADD', queue_key(rank, user), call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2], lane) == 1 then
        count_lane(rank, lane, 1)
    end
    if not call('ZSCORE', P .. 'users:' .. rank, user) then start_turn(user, rank) end
    hint(P .. 'wake', id) -- an idle worker has considered the others already
    return true
end

function queue_take_out(id, user, rank, lane)
    local queue = queue_key(rank, user, lane)
    if call('ZREM', queue, id) == 0 then return end
    local first = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    if first[1] then return call('ZADD', queue_key(rank, user), first[2], lane) end
    if call('ZREM', queue_key(rank, user), lane) == 1 then count_lane(rank, lane, -1) end
    if call('EXISTS', queue_key(rank, user)) == 0 then call('ZREM', P .. 'users:' .. rank, user) end
end

-- A window of a day, "22:00-07:00" or "22:00-07:00+02:00", as ms from, ms to and the offset from UTC; nil if it is none.
function window_of(text)
    local h1, m1, h2, m2, zone = text:match('^(%d%d):(%d%d)%-(%d%d):(%d%d)(.*)$')
    local sign, h3, m3 = (zone or ''):match('^ ?([+-])(%d%d):(%d%d)$')
    if not h1 or (zone ~= '' and zone ~= 'Z' and not sign) then return nil end
    local from, to = h1 * 60 + m1, h2 * 60 + m2
    local offset = sign and (h3 * 60 + m3) * (sign == '-' and -1 or 1) or 0
    local good = from < 1440 and to <= 1440 and tonumber(m1) < 60 and tonumber(m2) < 60 and math.abs(offset) <= 14 * 60
    if not good or from == to then return nil end
    return from * 60000, to * 60000, offset * 60000
end

-- How long until a job may run: 0 within its window and after its `at`.
function closed_ms(at, window, time)
    local start = math.max(time, tonumber(at or 0))
    if not window then return start - time end
    local from, to, offset = window_of(window)
    local clock = (start + offset) % DAY_MS
    local inside = from < to and clock >= from and clock < to or from > to and (clock >= from or clock < to)
    return start - time + (inside and 0 or (from - clock) % DAY_MS)
end

-- A day since 1970 as year, month and day of the month (the proleptic Gregorian calendar, counted from March).
local function date_of(day)
    local era = math.floor((day + 719468) / 146097)
    local rest = day + 719468 - era * 146097
    local year = math.floor((rest - math.floor(rest / 1460) + math.floor(rest / 36524) - math.floor(rest / 146096)) / 365)
    local in_year = rest - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * in_year + 2) / 153)
    local of_month = in_year - math.floor((153 * month + 2) / 5) + 1
    return year + era * 400 + (month >= 10 and 1 or 0), month >= 10 and month - 9 or month + 3, of_month
end

-- A time in a sentence, 2026-11-30T03:00Z; clients show it in the time of their reader.
function clock_text(time)
    local year, month, day = date_of(math.floor(time / DAY_MS))
    local clock = math.floor(time / 60000) % 1440
    return ('%04d-%02d-%02dT%02d:%02dZ'):format(year, month, day, math.floor(clock / 60), clock % 60)
end

urgent = false -- whether this call queued an interactive job; the entry point then looks for a worker (claim.lua)

function place(id)
    local user, state, priority, seq, lane, rank, at, window, most = job_get(id, 'user', 'state', 'priority', 'seq',
        'lane', 'rank', 'at', 'window', 'max_gpus')
    local stands = (state == 'queued' or state == 'running') and call('EXISTS', job_key(id, 'ranges')) == 1
    local time = stands and now()
    if at or window then
        call('ZREM', P .. 'timed', id)
        local wait = stands and closed_ms(at, window, time) or 0
        if wait > 0 then
            stands = false
            call('ZADD', P .. 'timed', time + wait, id)
            if state == 'queued' then job_set(id, 'reason', 'may run from ' .. clock_text(time + wait)) end
        end
    end
    if stands and most and call('SCARD', job_key(id, 'leases')) >= tonumber(most) then stands = false end
    if not stands then
        queue_take_out(id, user, rank, lane)
    elseif queue_put(id, user, rank, lane, order_of(tonumber(priority), tonumber(seq))) then
        urgent = urgent or (rank == '0' and state == 'queued')
    end
    if rank == '0' then return end
    if stands and state == 'queued' then call('ZADD', P .. 'aging', 'NX', time, id) else call('ZREM', P .. 'aging', id) end
end

-- Moves a job to another rank: by waiting, or back to its tier when it gets its turn.
function move(id, rank)
    local user, lane, old = job_get(id, 'user', 'lane', 'rank')
    queue_take_out(id, user, old, lane)
    call('ZREM', P .. 'aging', id)
    job_set(id, 'rank', rank)
    place(id)
end

-- The name of a lane; its hash has the lane's contents.
function lane_of(needs, device, model, load)
    table.sort(needs)
    local text = table.concat(needs, ' ')
    local lane = redis.sha1hex(text .. '\n' .. device .. '\n' .. load):sub(1, 16)
    call('HSET', P .. 'lane:' .. lane, 'needs', text, 'device', device, 'model', model, 'load', load)
    return lane
end

-- The first need that the set does not offer, or nil.
function lacks(needs, offers)
    for need in needs:gmatch('%S+') do
        if not offers[need] then return need end
    end
end

-- Jobs with the same pace take the same time per image on the same device; jobs with the same load take the same memory
-- on the same kind of device. Both are measured. The submit brings both keys, made from the client's table of job
-- fields; a submit without them (an older client) gets a coarser key.
function key_arg(a, name, kind, model)
    return text_arg(a, name, KEY, true) or kind .. ' ' .. model
end

-- A hash of at most SPEEDS measurements; a full one drops any.
local function learn_into(key, field, value, old)
    if not old and call('HLEN', key) >= SPEEDS then
        call('HDEL', key, call('HRANDFIELD', key))
    end
    call('HSET', key, field, value)
end

function learn(speed, ms)
    local old = tonumber(call('HGET', P .. 'speed', speed) or nil)
    learn_into(P .. 'speed', speed, old and old * 0.7 + ms * 0.3 or ms, old)
end

-- Keeps the largest peak, which decays slowly: most ranges of a load are smaller than the largest one.
function learn_memory(load, mib)
    local old = tonumber(call('HGET', P .. 'memory', load) or nil)
    learn_into(P .. 'memory', load, old and math.max(mib, old * 0.98 + mib * 0.02) or mib, old)
end
